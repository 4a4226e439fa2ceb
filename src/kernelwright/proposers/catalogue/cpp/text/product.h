// Products blocked for registers and caches (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", ACM TOMS 34, 2008): results[batch, row, column] = sum over step of left[batch, row, step] *
// right[batch, step, column].
constexpr int MR = TILE_ROW, NV = TILE_COLUMN, KC = SPLIT_STEP, MC = SPLIT_ROW, NC = SPLIT_COLUMN;
constexpr int NR = NV * W;       // a tile of MR x NR results is kept in registers
constexpr int64_t LDL = KC + W;  // from row to row of a left panel: not a power of two, or they would share cache sets
inline int64_t parts(int64_t size, int64_t most) { return std::max<int64_t>(1, (size + most - 1) / most); }
inline int64_t rounded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }
inline float* scratch(int64_t size) {  // a thread's own, kept from call to call
  static thread_local std::vector<float> memory;
  if (static_cast<int64_t>(memory.size()) < size + W) memory.resize(size + W);
  return reinterpret_cast<float*>(rounded(reinterpret_cast<intptr_t>(memory.data()), 64));
}
struct Packed {  // NR columns, one row after the other
  const float* at;
  INLINE const float* row(int64_t p) const { return at + p * NR; }
};
struct InPlace {  // rows wherever they lie
  const float* const* rows;
  int64_t column;
  INLINE const float* row(int64_t p) const { return rows[p] + column; }
};
enum Layout { ALONG_COLUMNS, ALONG_STEPS, IN_PLACE };  // of the right side
// Adds `steps` outer products of a column of the left panel and a row of the right one to the tile.
template <int ROWS, bool ALONG_STEPS, class Right>
void tile(int64_t steps, const float* left, Right right, float* sums, int64_t width, bool first) {
  constexpr int64_t down = ALONG_STEPS ? LDL : 1, ahead = ALONG_STEPS ? 1 : MR;
  F s[ROWS][NV];
#pragma GCC unroll 32
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) s[i][v] = F{};
  for (int64_t p = 0; p < steps; ++p) {
    F r[NV];
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) r[v] = load(right.row(p) + v * W, Full{});
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
template <bool LEFT_ALONG_STEPS, class Left>
void pack_left(Left left, int64_t batch, int64_t row, int64_t rows, int64_t step, int64_t steps, float* panel) {
  for (int64_t p = 0; p < (LEFT_ALONG_STEPS ? rows : steps); ++p) {
    float* to = panel + p * (LEFT_ALONG_STEPS ? LDL : MR);
    const float* from = LEFT_ALONG_STEPS ? left(batch, row + p, step, steps, to) : left(batch, step + p, row, rows, to);
    if (from != to) std::copy_n(from, LEFT_ALONG_STEPS ? steps : rows, to);
  }
}
template <bool LEFT_ALONG_STEPS, class Right>
void tiles(int64_t rows, int64_t steps, const float* left, Right right, float* sums, int64_t width, bool first) {
  if (rows > MR / 2) tile<MR, LEFT_ALONG_STEPS>(steps, left, right, sums, width, first);
  else tile<MR / 2, LEFT_ALONG_STEPS>(steps, left, right, sums, width, first);
}
// Tasks are blocks of rows and columns. `left` and `right` give the address of a line of values, which they may write to
// the space they are given: along the steps of one row or column, else along the rows or columns of one step. `finish`
// receives a row of sums.
template <bool LEFT_ALONG_STEPS, Layout RIGHT, class Left, class Right, class Finish>
void multiply(int64_t batches, int64_t rows, int64_t columns, int64_t steps, Left left, Right right, Finish finish) {
  const int64_t step_blocks = parts(steps, KC), kc = parts(steps, step_blocks);
  int64_t row_blocks = parts(rows, MC), column_blocks = parts(columns, NC);
  while (batches * row_blocks * column_blocks < THREADS && (rows > MR * row_blocks || columns > NR * column_blocks))
    ++(rows / row_blocks > columns / column_blocks ? row_blocks : column_blocks);
  const int64_t mc = rounded(parts(rows, row_blocks), MR), nc = rounded(parts(columns, column_blocks), NR);
  row_blocks = parts(rows, mc), column_blocks = parts(columns, nc);
  const int64_t tasks = batches * row_blocks * column_blocks, kept = step_blocks > 1 ? mc : MR;
  const int64_t packed = kc * (RIGHT == IN_PLACE ? NR : nc);
#pragma omp parallel for num_threads(THREADS) schedule(dynamic) if (tasks > 1 && batches * rows * columns * steps > 64 * SERIAL_BELOW)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t batch = task / (row_blocks * column_blocks);
    const int64_t row = task / column_blocks % row_blocks * mc, column = task % column_blocks * nc;
    const int64_t height = std::min(mc, rows - row), width = std::min(nc, columns - column);
    float* panel = scratch(MR * LDL + packed + kept * nc + W * LDL + nc);
    float *block = panel + MR * LDL, *sums = block + packed, *line = sums + kept * nc;
    const float* in_place[KC];
    for (int64_t step = 0; step == 0 || step < steps; step += kc) {  // a sum of nothing is 0
      const int64_t depth = std::min(kc, steps - step), whole = RIGHT == IN_PLACE ? width / NR * NR : 0;
      if constexpr (RIGHT == ALONG_STEPS) pack_columns(right, batch, step, depth, column, width, block, line);
      else if constexpr (RIGHT == ALONG_COLUMNS) pack_rows(right, batch, step, depth, column, width, block, line);
      else {
        for (int64_t p = 0; p < depth; ++p) in_place[p] = right(batch, step + p, column, width, line);
        if (whole < width) pack_rows(right, batch, step, depth, column + whole, width - whole, block, line);
      }
      for (int64_t i = 0; i < height; i += MR) {
        const int64_t here = std::min<int64_t>(MR, height - i);
        pack_left<LEFT_ALONG_STEPS>(left, batch, row + i, here, step, depth, panel);
        float* results = sums + (step_blocks > 1 ? i * nc : 0);
        for (int64_t j = 0; j < whole; j += NR)
          tiles<LEFT_ALONG_STEPS>(here, depth, panel, InPlace{in_place, j}, results + j, nc, step == 0);
        for (int64_t j = whole; j < width; j += NR)
          tiles<LEFT_ALONG_STEPS>(here, depth, panel, Packed{block + (j - whole) * depth}, results + j, nc, step == 0);
        if (step + kc >= steps)
          for (int64_t r = 0; r < here; ++r) finish(batch, row + i + r, column, width, results + r * nc);
      }
    }
  }
}
