// The calls of libcuda.so.1 that listing cards makes, for a host of two cards; INIT is what cuInit answers.
#include <stddef.h>
#include <string.h>

int cuInit(unsigned flags) { return flags == 0 ? INIT : 1; }

int cuDriverGetVersion(int *version) {
  *version = 13020;
  return 0;
}

int cuDeviceGetCount(int *count) {
  *count = 2;
  return 0;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = 100 + ordinal;
  return 0;
}

int cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, device == 100 ? "Card A" : "Card B", (size_t)length);
  return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? device - 100 : -1;
  return 0;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = (size_t)(device - 99) << 33;
  return 0;
}

int cuGetErrorString(int code, const char **text) {
  *text = code == 803 ? "system has unsupported display driver / cuda driver combination" : NULL;
  return 0;
}
