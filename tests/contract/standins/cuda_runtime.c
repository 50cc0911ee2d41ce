// The calls of libcudart that input and output make, on a "card" whose memory is the host's: copies are made when the
// stream is waited for, so that what does not wait is seen. `code` is what the next copy or wait answers.
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };
static struct {
  void *to;
  const void *from;
  size_t size;
  void *stream;
} queue[MOST];
static int queued;

int code, copies, waits, pinned, streams, selected = -1;

int cudaSetDevice(int device) {
  selected = device;
  return 0;
}

int cudaStreamCreateWithFlags(void **stream, unsigned flags) {
  ++streams;
  *stream = malloc(16);
  return flags == 1 ? 0 : 1;
}

int cudaStreamDestroy(void *stream) {
  --streams;
  free(stream);
  return 0;
}

int cudaMemcpyAsync(void *to, const void *from, size_t size, int direction, void *stream) {
  if (code != 0 || queued == MOST || (direction != 1 && direction != 2)) return code != 0 ? code : 1;
  ++copies;
  queue[queued].to = to;
  queue[queued].from = from;
  queue[queued].size = size;
  queue[queued++].stream = stream;
  return 0;
}

// What the session's run would do, were it on the stream: what was put there before it happens first.
void arrive(void) {
  for (int i = 0; i < queued; ++i) memcpy(queue[i].to, queue[i].from, queue[i].size);
  queued = 0;
}

int cudaStreamSynchronize(void *stream) {
  ++waits;
  for (int i = 0; i < queued; ++i) {
    if (queue[i].stream != stream) return 400;
  }
  arrive();
  return code;
}

int cudaHostAlloc(void **memory, size_t size, unsigned flags) {
  if (code != 0 || flags != 0) return code != 0 ? code : 1;
  ++pinned;
  *memory = malloc(size);
  memset(*memory, 0x55, size);
  return 0;
}

int cudaFreeHost(void *memory) {
  --pinned;
  free(memory);
  return 0;
}

const char *cudaGetErrorString(int number) { return number == 719 ? "unspecified launch failure" : "some error"; }
