// Products blocked for registers and caches (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", ACM TOMS 34, 2008): results[batch, row, column] = sum over step of left[batch, row, step] *
// right[batch, step, column].
constexpr int NR = NV * W;       // a tile of MR x NR results is kept in registers
constexpr int64_t LDL = KC + W;  // from row to row of a left panel: not a power of two, or they would share cache sets
inline int64_t parts(int64_t size, int64_t most) { return std::max<int64_t>(1, (size + most - 1) / most); }
inline int64_t rounded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }
inline float* scratch(int64_t size) {  // a thread's own, kept from call to call
  static thread_local std::vector<float> memory;
  if (static_cast<int64_t>(memory.size()) < size + W) memory.resize(size + W);
  return reinterpret_cast<float*>(rounded(reinterpret_cast<intptr_t>(memory.data()), 64));
}
// Which positions i of [begin, end) have 0 <= base + i * stride, or base + i * stride < size: i is never negative.
INLINE inline void from_zero(int64_t& begin, int64_t end, int64_t base, int64_t stride) {
  if (base < 0) begin = std::min(end, std::max(begin, (stride - 1 - base) / stride));
}
INLINE inline void below(int64_t begin, int64_t& end, int64_t base, int64_t stride, int64_t size) {
  end = std::max(begin, base < size ? std::min(end, (size - base + stride - 1) / stride) : begin);
}
// Adds `steps` outer products of a column of the left panel and a row of the right one to the tile.
template <int ROWS, bool ALONG_STEPS>
void tile(int64_t steps, const float* left, const float* right, float* sums, int64_t width, bool first) {
  constexpr int64_t down = ALONG_STEPS ? LDL : 1, ahead = ALONG_STEPS ? 1 : MR;
  F s[ROWS][NV];
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) s[i][v] = F{};
  for (int64_t p = 0; p < steps; ++p) {
    F r[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) r[v] = load(right + p * NR + v * W, Full{});
#pragma GCC unroll 32
    for (int i = 0; i < ROWS; ++i) {
      const F l = splat(left[p * ahead + i * down]);
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
// The right block as panels of NR columns, one row of a panel after the other, 0 past the last column.
template <class Right>
void pack_rows(Right right, int64_t batch, int64_t step, int64_t steps, int64_t column, int64_t columns, float* to, float* line) {
  for (int64_t p = 0; p < steps; ++p) {
    const float* from = right(batch, step + p, column, columns, line);
    int64_t j = 0;
    for (; j + NR <= columns; j += NR)
      for (int v = 0; v < NR; v += W) store(to + j * steps + p * NR + v, load(from + j + v, Full{}), Full{});
    if (j < columns) {
      std::copy_n(from + j, columns - j, to + j * steps + p * NR);
      std::fill(to + j * steps + p * NR + columns - j, to + j * steps + (p + 1) * NR, 0.0f);
    }
  }
}
// The same where the right side lies in memory along the steps: W columns are read and turned at a time.
template <class Right>
void pack_columns(Right right, int64_t batch, int64_t step, int64_t steps, int64_t column, int64_t columns, float* to, float* line) {
  for (int64_t j = 0; j < rounded(columns, NR); j += W) {
    const float* from[W];
    for (int k = 0; k < W; ++k) {
      from[k] = line + k * LDL;
      if (j + k < columns) from[k] = right(batch, column + j + k, step, steps, line + k * LDL);
      else std::fill_n(line + k * LDL, steps, 0.0f);
    }
    float* panel = to + j / NR * NR * steps + j % NR;
    for (int64_t p = 0; p < steps; ++p) {
      F turned;
      for (int k = 0; k < W; ++k) turned[k] = from[k][p];
      store(panel + p * NR, turned, Full{});
    }
  }
}
// Tasks are blocks of rows and columns. `left` and `right` give the address of a line of values, which they may write to
// the space they are given: along the steps of one row or column, else along the rows or columns of one step. `finish`
// receives a row of sums.
template <bool LEFT_ALONG_STEPS, bool RIGHT_ALONG_STEPS, class Left, class Right, class Finish>
void multiply(int64_t batches, int64_t rows, int64_t columns, int64_t steps, Left left, Right right, Finish finish) {
  const int64_t step_blocks = parts(steps, KC), kc = parts(steps, step_blocks);
  int64_t row_blocks = parts(rows, MC), column_blocks = parts(columns, NC);
  while (batches * row_blocks * column_blocks < THREADS && (rows > MR * row_blocks || columns > NR * column_blocks))
    ++(rows / row_blocks > columns / column_blocks ? row_blocks : column_blocks);
  const int64_t mc = rounded(parts(rows, row_blocks), MR), nc = rounded(parts(columns, column_blocks), NR);
  row_blocks = parts(rows, mc), column_blocks = parts(columns, nc);
  const int64_t tasks = batches * row_blocks * column_blocks, height = step_blocks > 1 ? mc : MR;
#pragma omp parallel for num_threads(THREADS) schedule(dynamic) if (tasks > 1 && batches * rows * columns * steps > 64 * SERIAL_BELOW)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t batch = task / (row_blocks * column_blocks);
    const int64_t row = task / column_blocks % row_blocks * mc, column = task % column_blocks * nc;
    const int64_t height_here = std::min(mc, rows - row), width = std::min(nc, columns - column);
    float* left_panel = scratch(MR * LDL + kc * nc + height * nc + W * LDL + nc);
    float *right_block = left_panel + MR * LDL, *sums = right_block + kc * nc, *line = sums + height * nc;
    for (int64_t step = 0; step < steps; step += kc) {
      const int64_t depth = std::min(kc, steps - step);
      (RIGHT_ALONG_STEPS ? pack_columns<Right> : pack_rows<Right>)(right, batch, step, depth, column, width, right_block, line);
      for (int64_t i = 0; i < height_here; i += MR) {
        const int64_t here = std::min<int64_t>(MR, height_here - i);
        for (int64_t p = 0; p < (LEFT_ALONG_STEPS ? here : depth); ++p) {
          float* to = left_panel + p * (LEFT_ALONG_STEPS ? LDL : MR);
          const int64_t count = LEFT_ALONG_STEPS ? depth : here;
          const float* from = LEFT_ALONG_STEPS ? left(batch, row + i + p, step, count, to) : left(batch, step + p, row + i, count, to);
          if (from != to) std::copy_n(from, count, to);
        }
        float* results = sums + (step_blocks > 1 ? i * nc : 0);
        for (int64_t j = 0; j < width; j += NR) {
          if (here > MR / 2) tile<MR, LEFT_ALONG_STEPS>(depth, left_panel, right_block + j * depth, results + j, nc, step == 0);
          else tile<MR / 2, LEFT_ALONG_STEPS>(depth, left_panel, right_block + j * depth, results + j, nc, step == 0);
        }
        if (step + kc >= steps)
          for (int64_t r = 0; r < here; ++r) finish(batch, row + i + r, column, width, results + r * nc);
      }
    }
  }
}
