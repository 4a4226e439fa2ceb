// The judge's clock: lets a stopped process go on, waits for its answer, stops it again.
//
// In C++ because the judge's own code runs on the first thread's core and with cold caches, since inputs have just been
// written: what Python does between these steps would take as long as a short kernel, at the expense of what is timed.

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr double kPatience = 0.01;  // seconds for a thread to stop, before somebody else looks after it
constexpr int kHeader = 8;
constexpr uint64_t kSlice = 100000;  // the least there is
constexpr unsigned kCpuClock = 2;  // the kernel's clock of what the scheduler gave a process
constexpr int kNumThreads = 20, kCore = 39;  // fields of /proc/PID/task/TID/stat, counted from 1

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int signal_all(int pidfd, int number) { return static_cast<int>(syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0)); }

struct Stat {
  char state = 'X';
  long threads = 0, core = -1;
};

// What the kernel says of a thread; 'X' when it has ended.
Stat stat_of(int file) {
  char text[1024];
  Stat found;
  const ssize_t length = pread(file, text, sizeof text - 1, 0);
  if (length <= 0) return found;
  text[length] = 0;
  const char* at = std::strrchr(text, ')');  // the name before it may hold anything
  if (at == nullptr || at[1] == 0) return found;
  at += 2;
  found.state = *at;
  for (int field = 3; field < kCore && (at = std::strchr(at, ' ')) != nullptr; ++field) {
    ++at;
    if (field + 1 == kNumThreads) found.threads = std::strtol(at, nullptr, 10);
    if (field + 1 == kCore) found.core = std::strtol(at, nullptr, 10);
  }
  return found;
}

// Whether a thread computes: neither stopped nor asleep, nor waiting for the core that we are on.
bool computes(const Stat& thread) { return std::strchr("TtZXS", thread.state) == nullptr && thread.core != sched_getcpu(); }

}  // namespace

extern "C" {

struct Watched {
  int pid, pidfd, sock, threads;
  const int* ids;    // the first thread first
  const int* files;  // their stat files
};

struct Reply {
  unsigned char* body;  // to be freed with `release`
  int64_t length;
  double there, spent;  // when it was all there, and the processor time that the process had taken by then
  double stopped;       // when it stood still; negative where that is not certain
};

enum Outcome { kComplete, kTimedOut, kClosed, kTooLong };

// Has the calling thread run as soon as it wakes up, though what it watches uses every core: the scheduler prefers those that
// ask for short slices (Linux 6.12; others ignore it).
static void be_prompt() {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;  // of those, an ordinary thread has the first: its slice in nanoseconds
  } attributes = {};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  attributes.size = sizeof attributes;
  attributes.runtime = kSlice;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

// Stops the process at a time, notes when, and says so by the event `done`, unless the event `cancel` comes before; says by
// `ready` that it is about to sleep. For a thread of its own, on any of the cores, that is asleep when the process goes on:
// whoever is awake then may have to wait for a core until it is done.
void stop_at(int pidfd, double when, const cpu_set_t* cores, int ready, int cancel, int done, double* stopped) {
  sched_setaffinity(0, sizeof *cores, cores);
  be_prompt();
  const uint64_t one = 1;
  if (write(ready, &one, sizeof one) < 0) return;
  const double seconds = std::max(0.0, when - now());
  const time_t whole = static_cast<time_t>(seconds);
  const timespec time{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
  pollfd cancelled{cancel, POLLIN, 0};
  if (ppoll(&cancelled, 1, &time, nullptr) != 0) return;
  *stopped = now();
  signal_all(pidfd, SIGSTOP);
  if (write(done, &one, sizeof one) < 0) return;
}

// Lets all threads go on, the first one on these cores; returns the time just before, or -1 where there is no process.
double go(const Watched* watched, const cpu_set_t* cores) {
  const double begin = now();
  if (signal_all(watched->pidfd, SIGCONT) != 0) return -1;
  if (watched->threads > 0) sched_setaffinity(watched->ids[0], sizeof *cores, cores);
  return begin;
}

static int read_exactly(int sock, unsigned char* to, int64_t count, double deadline) {
  while (count > 0) {
    const ssize_t got = recv(sock, to, static_cast<size_t>(count), MSG_DONTWAIT);
    if (got > 0) {
      to += got;
      count -= got;
      continue;
    }
    if (got == 0 || errno == ECONNRESET) return kClosed;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return kClosed;
    const double left = deadline - now();
    if (left <= 0) return kTimedOut;
    pollfd one{sock, POLLIN, 0};
    poll(&one, 1, left > 1e6 ? 1000000000 : static_cast<int>(left * 1e3) + 1);
  }
  return kComplete;
}

// Stops the process: the signal goes to a thread that is running, since one to the process waits for the first thread, which
// does not get our core meanwhile, while the others go on. Once that one has stopped, none of the others can compute any
// more when it wakes up. Returns when that is so, or -1 when it is not certain.
static double stop(const Watched* watched) {
  int running = -1;
  bool all = watched->threads > 0;
  for (int i = 0; i < watched->threads; ++i) {
    const Stat thread = stat_of(watched->files[i]);
    all = all && thread.threads <= watched->threads && thread.state != 'X';
    if (computes(thread)) running = i;
  }
  if (running < 0 || syscall(SYS_tgkill, watched->pid, watched->ids[running], SIGSTOP) != 0) signal_all(watched->pidfd, SIGSTOP);
  if (running < 0 || !all) return -1;
  const double patience = now() + kPatience;
  while (std::strchr("Tt", stat_of(watched->files[running]).state) == nullptr) {
    if (now() > patience) return -1;
  }
  for (int i = 0; i < watched->threads; ++i) {
    while (computes(stat_of(watched->files[i]))) {
      if (now() > patience) return -1;
    }
  }
  return now();
}

static double spent(int pid) {
  timespec time;
  if (clock_gettime(static_cast<clockid_t>(~static_cast<unsigned>(pid) << 3 | kCpuClock), &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Waits for one whole message, then stops the process.
int answer(const Watched* watched, double timeout, int64_t limit, Reply* reply) {
  const double deadline = now() + timeout;
  unsigned char header[kHeader];
  if (const int failed = read_exactly(watched->sock, header, kHeader, deadline)) return failed;
  uint64_t length = 0;
  for (unsigned char byte : header) length = length << 8 | byte;
  reply->length = static_cast<int64_t>(length);
  if (length > static_cast<uint64_t>(limit)) return kTooLong;
  reply->body = static_cast<unsigned char*>(std::malloc(length + 1));
  if (reply->body == nullptr) return kTooLong;
  if (const int failed = read_exactly(watched->sock, reply->body, reply->length, deadline)) return failed;
  reply->there = now();
  reply->spent = spent(watched->pid);
  reply->stopped = stop(watched);
  return kComplete;
}

void release(Reply* reply) {
  std::free(reply->body);
  reply->body = nullptr;
}
}
