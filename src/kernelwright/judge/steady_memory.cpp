// Preloaded into the processes whose calls are timed: large blocks that were freed are kept and handed out again.
//
// Without it every result of more than a few MiB is mapped, cleared by the kernel on first touch and unmapped again, on each
// call: on a CPU that takes longer than most kernels, and whether it happens depends on the heap's history. PyTorch keeps
// freed blocks on GPUs for the same reason. Reference, torch.compile and candidates all run with it.
//
// Large blocks live in one reserved range of addresses, so that `free` can tell them by their address. Sizes are rounded up to
// an eighth of a power of two; each size has a list of free blocks, the last one freed being used first.

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);
}

namespace {

constexpr size_t kLarge = size_t(1) << 20;
constexpr size_t kRange = size_t(1) << 40;
constexpr size_t kHeader = 4096;  // a page before each block: its size, and the next free block
constexpr size_t kClasses = 512;

struct Header {
  size_t size;
  Header* next;
  bool empty;  // its memory has been given back to the system
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
char *begin = nullptr, *top = nullptr, *end = nullptr;
Header* free_blocks[kClasses];

size_t rounded(size_t size) {
  const size_t step = size_t(1) << (63 - __builtin_clzll(size) - 3);
  return (size + step - 1) / step * step;
}

size_t class_of(size_t rounded_size) {
  const int log = 63 - __builtin_clzll(rounded_size);
  return size_t(log) * 8 + ((rounded_size >> (log - 3)) & 7);
}

bool ours(const void* p) { return p >= begin && p < end && begin; }

Header* header(void* p) { return reinterpret_cast<Header*>(static_cast<char*>(p) - kHeader); }

void* take(size_t size) {
  if (size > kRange / 2) return nullptr;
  size = rounded(size);
  pthread_mutex_lock(&lock);
  Header*& list = free_blocks[class_of(size)];
  Header* block = list;
  if (block) {
    list = block->next;
    block->empty = false;
  } else {
    if (!begin) {
      void* range = mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (range != MAP_FAILED) {
        begin = top = static_cast<char*>(range);
        end = begin + kRange;
      }
    }
    // Only what has been handed out is writable, so that a limit on the process's data counts it and nothing else.
    const size_t whole = size + kHeader;
    if (begin && top + whole <= end && mprotect(top, whole, PROT_READ | PROT_WRITE) == 0) {
      block = reinterpret_cast<Header*>(top);
      block->size = size;
      top += whole;
    }
  }
  pthread_mutex_unlock(&lock);
  return block ? reinterpret_cast<char*>(block) + kHeader : nullptr;
}

void give_back(void* p) {
  Header* block = header(p);
  pthread_mutex_lock(&lock);
  Header*& list = free_blocks[class_of(block->size)];
  block->next = list;
  list = block;
  pthread_mutex_unlock(&lock);
}

void* out_of_memory(void* p) {
  if (!p) errno = ENOMEM;
  return p;
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return size < kLarge ? __libc_malloc(size) : out_of_memory(take(size)); }

void free(void* p) { ours(p) ? give_back(p) : __libc_free(p); }

void* calloc(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total) || total < kLarge) return __libc_calloc(count, size);
  void* p = out_of_memory(take(total));
  return p ? memset(p, 0, total) : p;
}

void* memalign(size_t alignment, size_t size) {
  return size < kLarge || alignment > kHeader ? __libc_memalign(alignment, size) : out_of_memory(take(size));
}

void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** p, size_t alignment, size_t size) {
  *p = memalign(alignment, size);
  return *p || !size ? 0 : ENOMEM;
}

void* realloc(void* p, size_t size) {
  if (!ours(p)) {
    if (p || size < kLarge) return __libc_realloc(p, size);
    return malloc(size);
  }
  if (size && size <= header(p)->size && size >= kLarge) return p;
  void* moved = size ? malloc(size) : nullptr;
  if (moved) memcpy(moved, p, size < header(p)->size ? size : header(p)->size);
  if (moved || !size) give_back(p);
  return moved;
}

// Keeps `pad` bytes of what is free, small blocks first, for the next ones to be handed out.
int malloc_trim(size_t pad) {
  size_t kept = 0;
  pthread_mutex_lock(&lock);
  for (Header* block : free_blocks) {
    for (; block; block = block->next) {
      if (block->empty || kept + block->size <= pad) {
        kept += block->empty ? 0 : block->size;
        continue;
      }
      madvise(reinterpret_cast<char*>(block) + kHeader, block->size, MADV_DONTNEED);
      block->empty = true;
    }
  }
  pthread_mutex_unlock(&lock);
  static const auto theirs = reinterpret_cast<int (*)(size_t)>(dlsym(RTLD_NEXT, "malloc_trim"));
  return theirs(0);
}

size_t malloc_usable_size(void* p) {
  if (ours(p)) return header(p)->size;
  static const auto theirs = reinterpret_cast<size_t (*)(void*)>(dlsym(RTLD_NEXT, "malloc_usable_size"));
  return theirs(p);
}

}  // extern "C"
