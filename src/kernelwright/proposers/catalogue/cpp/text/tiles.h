// Tiles of results in registers, of panels that are in the caches.
constexpr int MR = TILE_ROW, NV = TILE_COLUMN;
constexpr int NR = NV * W;  // a tile of MR x NR results is kept in registers
inline int64_t parts(int64_t size, int64_t most) { return std::max<int64_t>(1, (size + most - 1) / most); }
inline int64_t rounded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }
template <int USE = 0> inline float* scratch(int64_t size) {  // a thread's own for a use, kept from call to call
  static thread_local std::vector<float> memory;
  constexpr int64_t aside = 64 / sizeof(float);
  if (static_cast<int64_t>(memory.size()) < size + aside) memory.resize(size + aside);
  return reinterpret_cast<float*>(rounded(reinterpret_cast<intptr_t>(memory.data()), 64));
}
struct Packed {  // NR columns, one row after the other
  const float* at;
  INLINE const float* row(int64_t p) const { return at + p * NR; }
  INLINE void expect(int64_t p) const {  // a panel is read once for each tile of rows, and comes from the second-level cache
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) __builtin_prefetch(row(p + 8) + v * W);
  }
};
struct InPlace {  // rows wherever they lie
  const float* const* rows;
  int64_t column;
  INLINE const float* row(int64_t p) const { return rows[p] + column; }
  INLINE void expect(int64_t) const {}
};
// Adds `steps` outer products of a column of the left panel and a row of the right one to the tile. Rows of the left panel
// are DOWN apart; with 1 it is one step after the other.
template <int ROWS, int64_t DOWN, class Right>
void tile(int64_t steps, const float* left, Right right, float* sums, int64_t width, bool first) {
  constexpr int64_t ahead = DOWN == 1 ? MR : 1;
  F s[ROWS][NV];
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      s[i][v] = F{};
      if (!first) __builtin_prefetch(sums + i * width + v * W, 1);  // added to at the end
    }
  for (int64_t p = 0; p < steps; ++p) {
    F r[NV];
    right.expect(p);
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) r[v] = load(right.row(p) + v * W, Full{});
#pragma GCC unroll 32
    for (int i = 0; i < ROWS; ++i) {
      const F l = splat(left[p * ahead + i * DOWN]);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) s[i][v] += l * r[v];
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) {
      float* at = sums + i * width + v * W;
      store(at, first ? s[i][v] : s[i][v] + load(at, Full{}), Full{});
    }
}
template <int64_t DOWN, class Right>
void tiles(int64_t rows, int64_t steps, const float* left, Right right, float* sums, int64_t width, bool first) {
  if (rows > MR / 2) tile<MR, DOWN>(steps, left, right, sums, width, first);
  else tile<MR / 2, DOWN>(steps, left, right, sums, width, first);
}
