// Measures what this CPU can do at best: bytes/s by working-set size, and FLOP/s of fused multiply-adds.
//
// usage: ceilings THREADS INPUT_BYTES STATE_BYTES OUTPUT_BYTES CALLS
// prints a line when it is ready, and for each line on stdin the seconds that moving the data of one call takes at this
// moment (see `meter`).
//
// usage: ceilings THREADS MAX_BYTES SECONDS
// prints one result a line: `read BYTES BYTES_PER_S`, `write ...`, `copy ...`, `flops DTYPE FLOP_PER_S`, and once a round `calm all SHARE`, how much of
// the time all threads had their cores. The best of each is the ceiling.
//
// No kernel may beat it. So each thread stays on its own slice with no barrier inside the timed loop; pages are huge where the
// system allows, and touched before; stores bypass the caches where that is faster; and rounds go on until the time is
// up (one at least), so that a noisy neighbour does not spoil them all. A pass over memory lasts from the first thread's
// start to the last one's end: a thread that is held up must not make the others look fast. Arithmetic shares nothing between
// threads, so there the time that each had its core is what counts.
#include <omp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef VECTOR_BYTES
#define VECTOR_BYTES 16
#endif

template <typename T>
using Vector [[gnu::vector_size(VECTOR_BYTES)]] = T;
using Block = Vector<float>;

constexpr double kSlotSeconds = 0.002;
constexpr int64_t kFirstSize = 256 << 10;
constexpr int64_t kFineFrom = 8 << 20;
constexpr int64_t kMostKept = 64 << 20;

static volatile float sink;

static double seconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

static double now() { return seconds(CLOCK_MONOTONIC); }
static double on_core() { return seconds(CLOCK_THREAD_CPUTIME_ID); }

struct Result {
  double rate = 0;
  double calm = 0;
};

static Result better(Result a, Result b) { return {std::max(a.rate, b.rate), std::max(a.calm, b.calm)}; }

static inline void stream(Block* to, Block value) {
#if defined(__AVX512F__) && VECTOR_BYTES == 64
  _mm512_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<__m512>(value));
#elif defined(__AVX__) && VECTOR_BYTES == 32
  _mm256_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<__m256>(value));
#elif defined(__SSE__) && VECTOR_BYTES == 16
  _mm_stream_ps(reinterpret_cast<float*>(to), reinterpret_cast<__m128>(value));
#else
  *to = value;
#endif
}

// A thread that goes through several places at once has more of them fetched ahead. `part` is how far they are apart.
template <int streams>
static void read_range(const Block* from, int64_t part, int64_t begin, int64_t end) {
  Block sums[4] = {};
  for (int64_t i = begin; i + 4 <= end; i += 4) {
    for (int s = 0; s < streams; ++s) {
      for (int k = 0; k < 4; ++k) sums[k] += from[s * part + i + k];
    }
  }
  sums[0] += sums[1] + sums[2] + sums[3];
  if (sums[0][0] == 1.0f) sink = sums[0][1];
}

template <int streams, bool past>
static void write_range(Block* to, int64_t part, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    for (int s = 0; s < streams; ++s) {
      if (past) stream(to + s * part + i, Block{});
      else to[s * part + i] = Block{};
    }
  }
  asm volatile("" ::: "memory");
}

template <int streams, bool past>
static void copy_range(const Block* from, Block* to, int64_t part, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    for (int s = 0; s < streams; ++s) {
      if (past) stream(to + s * part + i, from[s * part + i]);
      else to[s * part + i] = from[s * part + i];
    }
  }
  asm volatile("" ::: "memory");
}

template <int streams>
static void read(const Block* from, Block*, int64_t n) {
  read_range<streams>(from, n / streams, 0, n / streams);
}

template <int streams, bool past>
static void write(const Block*, Block* to, int64_t n) {
  write_range<streams, past>(to, n / streams, 0, n / streams);
}

template <int streams, bool past>
static void copy(const Block* from, Block* to, int64_t n) {
  copy_range<streams, past>(from, to, n / streams, 0, n / streams);
}

using Pass = void (*)(const Block*, Block*, int64_t);

// Best bytes/s of a pass over `bytes` of memory. A copy reads one half and writes the other.
static Result bandwidth(Pass pass, bool copies, char* memory, int64_t bytes, int threads) {
  const int64_t half = copies ? bytes / 2 : 0;
  const int64_t share = ((copies ? half : bytes) / threads) & ~int64_t{4095};
  if (share == 0) return {};
  const double guess = std::max(1e-7, static_cast<double>(bytes) / 20e9);
  const int passes = std::max(1, static_cast<int>(kSlotSeconds / 4 / guess));
  Result best;
  const double begin = now();
  do {
    double first = HUGE_VAL, last = 0, busy = HUGE_VAL;
#pragma omp parallel num_threads(threads) reduction(min : first, busy) reduction(max : last)
    {
      const int64_t offset = omp_get_thread_num() * share;
      const Block* from = reinterpret_cast<const Block*>(memory + offset);
      Block* to = reinterpret_cast<Block*>(memory + half + offset);
      const int64_t n = share / static_cast<int64_t>(sizeof(Block));
      pass(from, to, n);
#pragma omp barrier
      const double core_begin = on_core();
      first = now();
      for (int i = 0; i < passes; ++i) pass(from, to, n);
      last = now();
      busy = on_core() - core_begin;
    }
    const double moved = static_cast<double>(share) * threads * (copies ? 2 : 1) * passes;
    best = better(best, {moved / (last - first), busy / (last - first)});
  } while (now() - begin < kSlotSeconds);
  return best;
}

struct Traffic {
  const char* name;
  bool copies;
  Pass passes[3];
};

constexpr Traffic kTraffic[] = {
    {"read", false, {read<1>, read<4>, nullptr}},
    {"write", false, {write<1, false>, write<1, true>, nullptr}},
    {"copy", true, {copy<1, false>, copy<1, true>, copy<4, true>}},
};

// FLOP/s of independent chains of multiply-adds that never leave the registers: above any matrix product.
template <typename T>
static double multiply_adds(int threads) {
  constexpr int kChains = 12;
  constexpr int64_t kSteps = 1 << 17;
  double longest = 0;
#pragma omp parallel num_threads(threads) reduction(max : longest)
  {
    Vector<T> sum[kChains];
    for (int c = 0; c < kChains; ++c) sum[c] = Vector<T>{} + static_cast<T>(c);
    Vector<T> scale = Vector<T>{} + static_cast<T>(omp_get_thread_num() + 1) * static_cast<T>(1e-3);
    asm volatile("" : "+m"(scale));
#pragma omp barrier
    const double begin = on_core();
    for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
      for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * scale + scale;
    }
    longest = on_core() - begin;
    for (int c = 0; c < kChains; ++c) {
      if (sum[c][0] == static_cast<T>(-1)) sink = static_cast<float>(sum[c][1]);
    }
  }
  const double operations = 2.0 * (VECTOR_BYTES / sizeof(T)) * kChains * kSteps * threads;
  return operations / longest;
}

#if defined(__AMX_BF16__)
struct Shape { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; };
alignas(64) static constexpr Shape kTiles{1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// FLOP/s of the matrix unit on numbers of 16 bits that are in its tiles; 0 where the system does not let us have them.
static double tile_products(int threads) {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  constexpr int64_t kSteps = 1 << 15;
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return 0;
  double longest = 0;
#pragma omp parallel num_threads(threads) reduction(max : longest)
  {
    _tile_loadconfig(&kTiles);
    for (int once = 0; once < 2; ++once) {  // the system makes room for a thread's tiles when they are first used
#pragma omp barrier
      const double begin = on_core();
      for (int64_t i = 0; i < kSteps; ++i) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      longest = on_core() - begin;
    }
    _tile_release();
  }
  return 2.0 * 16 * 16 * 32 * 4 * kSteps * threads / longest;
}
#endif

// Touched memory; null where there is not enough.
static char* allocate(int64_t bytes, int threads, bool huge_pages) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  if (huge_pages) madvise(mapped, bytes, MADV_HUGEPAGE);
  char* memory = static_cast<char*>(mapped);
#pragma omp parallel for num_threads(threads)
  for (int64_t page = 0; page < bytes; page += 4096) std::memset(memory + page, 0, 4096);
  return memory;
}

constexpr int64_t kBlock = 4096;
constexpr int64_t kTurn = 16 << 10;
constexpr int64_t kSmall = 4 << 20;
constexpr int kRounds = 5;
constexpr double kRoundsSeconds = 2;

static int64_t rounded(int64_t bytes) { return (bytes + kBlock - 1) / kBlock * kBlock; }

// One thread's part of a call that only moves data: what is both read and written is copied, the rest read or written; one
// after the other, or a bit of each in turn.
struct Slice {
  const Block *source, *state;
  Block* target;
  int64_t reads, writes, states;
};

template <int streams, bool past>
static void move_slice(const Slice& slice, bool in_turn) {
  const int64_t both = std::min(slice.reads, slice.writes) / streams, reads = slice.reads / streams - both,
                writes = slice.writes / streams - both;
  const int64_t bytes = (slice.reads + slice.writes) * static_cast<int64_t>(sizeof(Block));
  const int64_t turns = in_turn ? std::max<int64_t>(1, bytes / kTurn) : 1;
  read_range<1>(slice.state, 0, 0, slice.states);
  for (int64_t turn = 0; turn < turns; ++turn) {
    const auto at = [&](int64_t all, int64_t which) { return which == turns ? all : all * which / turns / 4 * 4; };
    copy_range<streams, past>(slice.source, slice.target, both, at(both, turn), at(both, turn + 1));
    read_range<streams>(slice.source + streams * both, reads, at(reads, turn), at(reads, turn + 1));
    write_range<streams, past>(slice.target + streams * both, writes, at(writes, turn), at(writes, turn + 1));
  }
}

// What a kernel may choose: how many threads, how many places at once, past the caches or through them, the order.
struct Way {
  int threads;
  void (*slice)(const Slice&, bool);
  bool in_turn;
};

static void move(const char* from, int64_t read_bytes, const char* state, int64_t state_bytes, char* to,
                 int64_t written_bytes, const Way& way) {
#pragma omp parallel num_threads(way.threads)
  {
    const int64_t part = kBlock / static_cast<int64_t>(sizeof(Block)), thread = omp_get_thread_num();
    const auto first = [&](int64_t bytes, int64_t of) { return rounded(bytes) / kBlock * of / way.threads * part; };
    const auto count = [&](int64_t bytes) { return first(bytes, thread + 1) - first(bytes, thread); };
    way.slice({reinterpret_cast<const Block*>(from) + first(read_bytes, thread),
               reinterpret_cast<const Block*>(state) + first(state_bytes, thread),
               reinterpret_cast<Block*>(to) + first(written_bytes, thread), count(read_bytes), count(written_bytes),
               count(state_bytes)},
              way.in_turn);
  }
}

// A process that moves the data of a batch when told how, and says how long a call took.
struct Mover {
  int orders[2], answers[2];
};

static std::vector<Way> ways(int threads, int64_t bytes) {
  std::vector<Way> found;
  for (int count : {threads, 1}) {
    // One thread is for calls that are over before others wake up.
    if (count == 1 && threads > 1 && bytes > kSmall) continue;
    for (bool in_turn : {false, true}) {
      for (auto slice : {move_slice<1, false>, move_slice<1, true>, move_slice<4, true>}) found.push_back({count, slice, in_turn});
    }
  }
  return found;
}

[[noreturn]] static void move_when_told(const Mover& mover, int threads, const char* inputs, int64_t in, int64_t state_bytes,
                                        int64_t out, int64_t calls) {
  const std::vector<Way> known = ways(threads, in + out);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(mover.orders[1]);
  close(mover.answers[0]);
  char* memory = allocate(std::max(kBlock, calls * out + rounded(state_bytes)), threads, false);
  double seconds = memory == nullptr ? -1 : 0;
  int way = 0;
  do {
    if (write(mover.answers[1], &seconds, sizeof seconds) != sizeof seconds || seconds < 0) break;
    if (read(mover.orders[0], &way, sizeof way) != sizeof way) break;
    const char* state = memory + calls * out;
    const double begin = now();
    for (int64_t i = 0; i < calls; ++i) {
      move(inputs + i * in, in, state, state_bytes, memory + i * out, out, known[way]);
    }
    seconds = (now() - begin) / static_cast<double>(calls);
  } while (true);
  _exit(0);
}

// What moving a call's data takes right now, as the judge times calls: another process writes the inputs of a whole batch,
// then all calls run, each on inputs and outputs of its own and on the same state, in pages as torch has them, and the
// threads have been asleep. Of what a kernel may choose, the way that was quickest at first.
static int meter(int threads, int64_t input_bytes, int64_t state_bytes, int64_t output_bytes, int64_t calls) {
  const int64_t in = rounded(input_bytes), out = rounded(output_bytes), all = std::max(kBlock, calls * in);
  const int64_t kept = std::min(all, kMostKept);
  void* shared = mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char* source = static_cast<char*>(std::calloc(1, kept));
  Mover mover;
  if (shared == MAP_FAILED || source == nullptr || pipe(mover.orders) != 0 || pipe(mover.answers) != 0) return 1;
  char* inputs = static_cast<char*>(shared);
  std::memset(inputs, 0, all);
  std::memset(source, 1, kept);
  const pid_t child = fork();  // before any thread is started, since they would not be there in it
  if (child < 0) return 1;
  if (child == 0) move_when_told(mover, threads, inputs, in, state_bytes, out, calls);
  close(mover.answers[1]);
  close(mover.orders[0]);
  double seconds = 0;
  const auto answered = [&] { return read(mover.answers[0], &seconds, sizeof seconds) == sizeof seconds && seconds >= 0; };
  const auto moved = [&](int way) {
    for (int64_t at = 0; at < all; at += kept) std::memcpy(inputs + at, source, std::min(kept, all - at));
    return write(mover.orders[1], &way, sizeof way) == sizeof way && answered();
  };
  if (!answered()) return 1;
  int best = 0;
  double least = HUGE_VAL;
  const int count = static_cast<int>(ways(threads, in + out).size());
  std::vector<std::vector<double>> times(count);
  const double until = now() + kRoundsSeconds;
  for (int round = 0; round < kRounds && (round == 0 || now() < until); ++round) {
    for (int way = 0; way < count; ++way) {
      if (!moved(way)) return 1;
      times[way].push_back(seconds);
    }
  }
  for (int way = 0; way < count; ++way) {
    std::sort(times[way].begin(), times[way].end());
    const double middle = times[way][times[way].size() / 2];
    if (middle < least) least = middle, best = way;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  for (int request = std::getchar(); request != EOF; request = std::getchar()) {
    if (request != '\n') continue;
    if (!moved(best)) return 1;
    std::printf("%.9e\n", seconds);
    std::fflush(stdout);
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 4 && argc != 6) return 2;
  const int threads = std::atoi(argv[1]);
  if (argc == 6) return meter(threads, std::atoll(argv[2]), std::atoll(argv[3]), std::atoll(argv[4]), std::atoll(argv[5]));
  const int64_t most = std::atoll(argv[2]);
  const double until = now() + std::atof(argv[3]);
  char* memory = allocate(most, threads, true);
  if (memory == nullptr) return 1;
  do {
    double calm = 1;
    for (int64_t size = kFirstSize; size <= most;) {
      for (const Traffic& kind : kTraffic) {
        Result all, half;
        for (Pass pass : kind.passes) {
          if (pass == nullptr) continue;
          all = better(all, bandwidth(pass, kind.copies, memory, size, threads));
          half = better(half, bandwidth(pass, kind.copies, memory, size, std::max(1, threads / 2)));
        }
        std::printf("%s %lld %.6e\n", kind.name, static_cast<long long>(size), std::max(all.rate, half.rate));
        calm = std::min(calm, all.calm);  // half of the threads find cores on a busy machine too
      }
      // Doubling at first, then 1.5 and 1.33 in turn: around the last cache's size the bandwidth changes most.
      size = size < kFineFrom ? size * 2 : (size & (size - 1)) ? size / 3 * 4 : size / 2 * 3;
    }
    std::printf("calm all %.3f\n", calm);
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::printf("flops float32 %.6e\n", multiply_adds<float>(threads));
      std::printf("flops float64 %.6e\n", multiply_adds<double>(threads));
#if defined(__AMX_BF16__)
      // A float32 is the sum of three such numbers, and a product of two takes six of theirs.
      const double rate = tile_products(threads);
      std::printf("flops bfloat16 %.6e\nflops float32 %.6e\n", rate, rate / 6);
#endif
    }
  } while (now() < until);
  return 0;
}
