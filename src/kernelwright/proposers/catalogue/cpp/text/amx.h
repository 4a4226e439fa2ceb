// Products by the processor's matrix unit (Intel AMX), which multiplies numbers of 16 bits and adds up in 32: each factor is
// taken apart into three bfloat16 numbers, whose sum it is, and of their nine products the six are added up that float32
// could tell from 0 (G. Henry, P. T. P. Tang, A. Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype for
// Higher-Precision Computations", ARITH 2019). That is as exact as float32 itself where parts and their products are neither
// infinite nor so small that the unit takes them for 0: a block that meets other numbers is multiplied by vectors.
#if defined(__AMX_BF16__) && defined(__AVX512F__) && !defined(NO_MATRIX_UNIT)
#define MATRIX_UNIT
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
static_assert(W == 16);
constexpr int64_t SIDE = 32, CHUNK = 32;  // lines and steps of a piece of a panel
constexpr int64_t LINE = 64, HALF_PART = W * LINE, PART = 2 * HALF_PART, PIECE = 3 * PART;  // bytes: a part of a piece is two tiles
inline bool has_tiles() {  // asks the system for them, once
  constexpr int request_permission = 0x1023, tile_data = 18;
  static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return granted;
}
using Bits = vec<uint32_t>;
// How small and how large numbers are, but for zeros: their bits without the sign, which grow with them.
struct Reach {
  Bits least = Bits{} - 1, most{};
  INLINE void add(F v) {
    const Bits bits = (Bits)v & 0x7fffffff, below = bits - 1;  // of 0, the largest there is
    least = below < least ? below : least, most = bits > most ? bits : most;
  }
  float smallest() const { return number(across<uint32_t>(least, [](auto a, auto b) INLINE { return a < b ? a : b; }) + 1); }
  float largest() const { return number(across<uint32_t>(most, [](auto a, auto b) INLINE { return a > b ? a : b; })); }
  static float number(uint32_t bits) {
    float v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
};
// Whether all parts of both sides, and their products, are numbers that the unit has, with room for the sum of many.
inline bool have_parts(const Reach& left, const Reach& right) {
  constexpr double tiny = 0x1p-102, huge = 0x1p100;
  const double a = left.largest(), b = right.largest();
  if (a == 0 || b == 0) return a + b < huge;  // no NaN either
  const double c = left.smallest(), d = right.smallest();
  return a < huge && b < huge && a * b < huge && c > tiny && d > tiny && c * d > tiny;
}
// Two vectors as pairs of their bfloat16 parts.
INLINE inline void take_apart(F low, F high, I (&pairs)[3], Reach& reach) {
  reach.add(low), reach.add(high);
#pragma GCC unroll 3
  for (int k = 0; k < 3; ++k) {
    const Bits a = ((Bits)low + 0x8000) & 0xffff0000, b = ((Bits)high + 0x8000) & 0xffff0000;  // the nearest ones
    pairs[k] = (I)(a >> 16 | b);
    low -= (F)a, high -= (F)b;
  }
}
// A tile of each part of a piece: of the left side it has a row's steps in each of its lines, of the right side two steps of
// all columns. `line` gives two vectors, along steps or of two steps; TURNED are those that lie the other way.
template <bool TURNED, class Line> INLINE inline void put_tiles(Line line, char* to, Reach& reach) {
  F turned[TURNED ? 3 : 1][W];
#pragma GCC unroll 4
  for (int r = 0; r < W; ++r) {
    I pairs[3];
    const auto [low, high] = line(r);
    take_apart(low, high, pairs, reach);
    for (int k = 0; k < 3; ++k)
      if constexpr (TURNED) turned[k][r] = as_float(pairs[k]);
      else store(reinterpret_cast<float*>(to + k * PART + r * LINE), as_float(pairs[k]), Full{});
  }
  for (int k = 0; TURNED && k < 3; ++k) {
    turn<W / 2>(turned[k]);
    for (int r = 0; r < W; ++r) store(reinterpret_cast<float*>(to + k * PART + r * LINE), turned[k][r], Full{});
  }
}
INLINE inline F up_to(const float* p, int64_t n) {
  return n >= W ? load(p, Full{}) : n > 0 ? load(p, Part{static_cast<int>(n)}) : F{};
}
struct Pair { F low, high; };
// Lines of one side as pieces, `apart` bytes from those of 32 lines to the next; whether they lie in memory.
template <bool ALONG_STEPS, bool LEFT, class Side>
bool pack_pieces(Side side, int64_t batch, int64_t at, int64_t count, int64_t step, int64_t depth, char* to, int64_t apart,
                 float* line, Reach& reach) {
  const float* from[CHUNK] = {};
  if constexpr (ALONG_STEPS) {
    for (int64_t j = 0; j < count; j += SIDE, to += apart) {
      for (int64_t r = 0; r < std::min(SIDE, count - j); ++r) from[r] = side(batch, at + j + r, step, depth, line + r * depth);
      for (int64_t c = 0; c < depth; c += CHUNK)
        for (int64_t t = 0; t < SIDE; t += W) {
          char* tiles = to + c / CHUNK * PIECE + t * LINE;
          if (c + CHUNK <= depth && j + t + W <= count)
            put_tiles<!LEFT>([&](int r) INLINE {
              return Pair{load(from[t + r] + c, Full{}), load(from[t + r] + c + W, Full{})};
            }, tiles, reach);
          else
            put_tiles<!LEFT>([&](int r) INLINE {
              const int64_t n = j + t + r < count ? depth - c : 0;
              return Pair{up_to(from[t + r] + c, n), up_to(from[t + r] + c + W, n - W)};
            }, tiles, reach);
        }
    }
  } else {
    for (int64_t c = 0; c < depth; c += CHUNK) {
      const int64_t n = std::min(CHUNK, depth - c);
      for (int64_t s = 0; s < n; ++s) from[s] = side(batch, step + c + s, at, count, line + s * count);
      for (int64_t j = 0; j < rounded(count, SIDE); j += W) {
        char* tiles = to + j / SIDE * apart + c / CHUNK * PIECE + j % SIDE * LINE;
        if (n == CHUNK && j + W <= count)
          put_tiles<LEFT>([&](int r) INLINE {
            return Pair{load(from[r] + j, Full{}), load(from[W + r] + j, Full{})};
          }, tiles, reach);
        else
          put_tiles<LEFT>([&](int r) INLINE {
            return Pair{up_to(from[r] + j, r < n ? count - j : 0), up_to(from[W + r] + j, W + r < n ? count - j : 0)};
          }, tiles, reach);
      }
    }
  }
  return from[0] != line;
}
// 32 x 32 results, or 16 x 32. What the compiler does with memory stays outside: it does not know what tiles read.
template <bool TALL, class More>
INLINE inline void multiply_pieces(int64_t chunks, const char* left, const char* right, float* sums, int64_t width,
                                   bool first, More more) {
  const int64_t row = width * sizeof(float);
  const auto from_left = [&](const char* part) INLINE {
    _tile_loadd(4, part, LINE);
    if constexpr (TALL) _tile_loadd(5, part + HALF_PART, LINE);
  };
  const auto from_right = [&](const char* part) INLINE {
    _tile_loadd(6, part, LINE);
    _tile_loadd(7, part + HALF_PART, LINE);
  };
  const auto add = [] INLINE {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (TALL) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  };
  const auto expect = [](const char* part) INLINE {  // the processor does not see by itself which tiles come next
#pragma GCC unroll 16
    for (int i = 0; i < HALF_PART; i += LINE) __builtin_prefetch(part + i);
  };
  asm volatile("" ::: "memory");
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, row);
    _tile_loadd(1, sums + 16, row);
    if constexpr (TALL) {
      _tile_loadd(2, sums + 16 * width, row);
      _tile_loadd(3, sums + 16 * width + 16, row);
    }
  }
  for (int64_t c = 0; c < chunks; ++c, left += PIECE, right += PIECE) {
    const char* next = right + PIECE;
    from_left(left), from_right(right + 2 * PART), expect(next + 2 * PART), add(), expect(next + 2 * PART + HALF_PART);
    from_right(right + PART), add(), expect(next + PART);
    from_right(right), add(), expect(next + PART + HALF_PART);
    from_left(left + PART), add(), expect(next);
    from_right(right + PART), add(), expect(next + HALF_PART);
    from_left(left + 2 * PART), from_right(right), add();
    more(c);
  }
  _tile_stored(0, sums, row);
  _tile_stored(1, sums + 16, row);
  if constexpr (TALL) {
    _tile_stored(2, sums + 16 * width, row);
    _tile_stored(3, sums + 16 * width + 16, row);
  }
  asm volatile("" ::: "memory");
}
// While it lives, its thread has tiles of 16 lines of 64 bytes.
struct InTiles {
  struct Shape { uint8_t palette, start, none[14]; uint16_t bytes[16]; uint8_t rows[16]; };
  InTiles() {  // a constant: the compiler takes the instruction to read no more than its first bytes
    alignas(64) static constexpr Shape shape{1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&shape);
  }
  ~InTiles() { _tile_release(); }
};
// A block of rows and columns; false if it met numbers without parts: what it has stored is not to be used.
template <bool LEFT_ALONG_STEPS, bool RIGHT_ALONG_STEPS, class Left, class Right, class Finish>
bool multiply_block_in_parts(int64_t batch, int64_t row, int64_t height, int64_t column, int64_t width, int64_t steps, int64_t kc,
                             Left left, Right right, Finish finish) {
  const int64_t nc = rounded(width, SIDE), deep = kc / CHUNK * PIECE, kept = kc < steps ? rounded(height, SIDE) : SIDE;
  float* panel = scratch((deep + deep * nc / SIDE) / 4 + kept * nc + SIDE * std::max(kc, nc));
  char *pieces = reinterpret_cast<char*>(panel), *block = pieces + deep;
  float *sums = reinterpret_cast<float*>(block + deep * nc / SIDE), *line = sums + kept * nc;
  const float* next[SIDE];
  Reach of_left, of_right;
  const InTiles tiles;
  for (int64_t step = 0; step < steps; step += kc) {
    const int64_t depth = std::min(kc, steps - step), chunks = parts(depth, CHUNK);
    pack_pieces<RIGHT_ALONG_STEPS, false>(right, batch, column, width, step, depth, block, deep, line, of_right);
    for (int64_t i = 0; i < height; i += SIDE) {
      const int64_t here = std::min(SIDE, height - i);
      const bool in_memory = pack_pieces<LEFT_ALONG_STEPS, true>(left, batch, row + i, here, step, depth, pieces, deep, line,
                                                                       of_left);
      if (!have_parts(of_left, of_right)) return false;
      float* results = sums + (kc < steps ? i * nc : 0);
      for (int64_t j = 0; j < width; j += SIDE) {
        // Each piece asks for some of the next rows, a few lines at a time.
        const int64_t begin = i + SIDE + SIDE * j / nc, end = std::min(height, i + SIDE + SIDE * (j + SIDE) / nc);
        const bool asks = LEFT_ALONG_STEPS && in_memory;
        for (int64_t r = begin; asks && r < end; ++r) next[r - begin] = left(batch, row + r, step, depth, line);
        const auto more = [&](int64_t c) INLINE {
          for (int64_t r = begin; asks && r < end; ++r)
            fetch(next[r - begin] + c * CHUNK), fetch(next[r - begin] + c * CHUNK + W);
        };
        if (here > 16) multiply_pieces<true>(chunks, pieces, block + j / SIDE * deep, results + j, nc, step == 0, more);
        else multiply_pieces<false>(chunks, pieces, block + j / SIDE * deep, results + j, nc, step == 0, more);
      }
      for (int64_t r = 0; r < here && step + depth == steps; ++r) finish(batch, row + i + r, column, width, results + r * nc);
    }
  }
  return true;
}
#endif
template <bool LEFT_ALONG_STEPS, Layout RIGHT, class Left, class Right, class Finish>
void multiply_in_parts(int64_t batches, int64_t rows, int64_t columns, int64_t steps, Left left, Right right, Finish finish) {
#if defined(MATRIX_UNIT)
  if (has_tiles() && steps > 0 && std::min(rows, columns) >= W) {
    std::atomic<bool> by_vectors = false;  // once a block has met numbers without parts, others begin with vectors
    const int64_t other = parts(steps, parts(steps, KC)), kc = rounded(other, CHUNK);
    const auto block = [=, &by_vectors](int64_t b, int64_t row, int64_t height, int64_t column, int64_t width) {
      constexpr bool along_steps = RIGHT == ALONG_STEPS;
      if (!by_vectors.load(std::memory_order_relaxed) &&
          multiply_block_in_parts<LEFT_ALONG_STEPS, along_steps>(b, row, height, column, width, steps, kc, left, right, finish))
        return;
      by_vectors.store(true, std::memory_order_relaxed);
      multiply_block<LEFT_ALONG_STEPS, RIGHT>(b, row, height, column, width, 0, steps, other, other < steps, left, right,
                                              finish, EveryStep{});
    };
    in_blocks(batches, rows, columns, steps, SIDE, SIDE, block);
    return;
  }
#endif
  multiply<LEFT_ALONG_STEPS, RIGHT>(batches, rows, columns, steps, left, right, finish);  // there is none, or it is refused
}
