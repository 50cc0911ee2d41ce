// A Vulkan driver that is another one (REAL, a path), until lose_device(1): then its queue is lost, as that of a card
// whose driver was reset or that was pulled out. Only what a queue is waited for and given work by is changed.
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define VK_ERROR_DEVICE_LOST (-4)

typedef void (*Function)(void);
typedef Function (*GetProc)(void *object, const char *name);
typedef int32_t (*Submit)(void *queue, uint32_t count, const void *submits, uint64_t fence);
typedef int32_t (*Wait)(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout);
typedef int32_t (*Status)(void *device, uint64_t fence);

static int lost;
static GetProc real_instance_proc, real_device_proc;
static Submit real_submit;
static Wait real_wait;
static Status real_status;

PUBLIC void lose_device(int on) { lost = on; }

static void *real(const char *name) {
  static void *library;
  if (library == NULL) library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
  return library == NULL ? NULL : dlsym(library, name);
}

static int32_t submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
  return lost ? VK_ERROR_DEVICE_LOST : real_submit(queue, count, submits, fence);
}

static int32_t wait(void *device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout) {
  return lost ? VK_ERROR_DEVICE_LOST : real_wait(device, count, fences, all, timeout);
}

static int32_t status(void *device, uint64_t fence) { return lost ? VK_ERROR_DEVICE_LOST : real_status(device, fence); }

static Function changed(const char *name, Function found) {
  if (found == NULL) return NULL;
  if (strcmp(name, "vkQueueSubmit") == 0) {
    real_submit = (Submit)found;
    return (Function)submit;
  }
  if (strcmp(name, "vkWaitForFences") == 0) {
    real_wait = (Wait)found;
    return (Function)wait;
  }
  if (strcmp(name, "vkGetFenceStatus") == 0) {
    real_status = (Status)found;
    return (Function)status;
  }
  return found;
}

static Function device_proc(void *device, const char *name) { return changed(name, real_device_proc(device, name)); }

PUBLIC Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  if (real_instance_proc == NULL) real_instance_proc = (GetProc)real("vk_icdGetInstanceProcAddr");
  if (real_instance_proc == NULL) return NULL;
  const Function found = real_instance_proc(instance, name);
  if (found != NULL && strcmp(name, "vkGetDeviceProcAddr") == 0) {
    real_device_proc = (GetProc)found;
    return (Function)device_proc;
  }
  return changed(name, found);
}

PUBLIC int32_t vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
  typedef int32_t (*Negotiate)(uint32_t *);
  const Negotiate negotiate = (Negotiate)real("vk_icdNegotiateLoaderICDInterfaceVersion");
  return negotiate == NULL ? -9 : negotiate(version);
}

PUBLIC Function vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
  const GetProc found = (GetProc)real("vk_icdGetPhysicalDeviceProcAddr");
  return found == NULL ? NULL : found(instance, name);
}
