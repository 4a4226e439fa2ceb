// Products blocked for registers and caches (K. Goto, R. van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication", ACM TOMS 34, 2008): results[batch, row, column] = sum over step of left[batch, row, step] *
// right[batch, step, column].
constexpr int KC = SPLIT_STEP, MC = SPLIT_ROW, NC = SPLIT_COLUMN;
constexpr int64_t LDL = KC + W;  // from row to row of a left panel: not a power of two, or they would share cache sets
enum Layout { ALONG_COLUMNS, ALONG_STEPS, IN_PLACE };  // of the right side
struct Steps { int64_t from, count, at, all; };  // steps that follow each other, `at` their place among `all` of a panel
// The next steps that count, from `step` on and as many as a panel holds; what is left after them counts too.
template <class Counts>
int next_steps(Counts counts, int64_t batch, int64_t& step, int64_t steps, int64_t most, Steps* found) {
  int runs = 0;
  int64_t all = 0;
  for (; step < steps; ++step) {
    if (!counts(batch, step)) continue;
    if (all == most) break;
    if (runs > 0 && found[runs - 1].from + found[runs - 1].count == step) ++found[runs - 1].count;
    else found[runs++] = {step, 1, all, 0};
    ++all;
  }
  for (int i = 0; i < runs; ++i) found[i].all = all;
  return runs;
}
// The right block as panels of NR columns, one row of a panel after the other, 0 past the last column. W rows at a time,
// so that stores follow each other: what one row has in each of the panels would share cache sets.
template <class Right>
void pack_rows(Right right, int64_t batch, Steps steps, int64_t column, int64_t columns, float* to, float* line) {
  for (int64_t begin = 0; begin < steps.count; begin += W) {
    const int rows = static_cast<int>(std::min<int64_t>(W, steps.count - begin));
    const float* from[W];
    for (int k = 0; k < rows; ++k)
      from[k] = right(batch, steps.from + begin + k, column, columns, line + k * rounded(columns, NR));
    float* panel = to + (steps.at + begin) * NR;
    int64_t j = 0;
    for (; j + NR <= columns; j += NR, panel += steps.all * NR)
      for (int k = 0; k < rows; ++k)
        for (int v = 0; v < NR; v += W) store(panel + k * NR + v, load(from[k] + j + v, Full{}), Full{});
    for (int k = 0; k < rows && j < columns; ++k) {
      std::copy_n(from[k] + j, columns - j, panel + k * NR);
      std::fill_n(panel + k * NR + columns - j, NR - (columns - j), 0.0f);
    }
  }
}
// Rows become columns: blocks of HALF by HALF beside the diagonal change places, then those in each block.
template <int HALF> INLINE inline void turn(F (&rows)[W]) {
  I upper{}, lower{};
  for (int k = 0; k < W; ++k) upper[k] = k & HALF ? W + k - HALF : k, lower[k] = k & HALF ? W + k : k + HALF;
#pragma GCC unroll 16
  for (int r = 0; r < W; ++r) {
    if (r & HALF) continue;
    const F a = rows[r], b = rows[r + HALF];
    rows[r] = __builtin_shuffle(a, b, upper), rows[r + HALF] = __builtin_shuffle(a, b, lower);
  }
  if constexpr (HALF > 1) turn<HALF / 2>(rows);
}
// The same where the right side lies in memory along the steps: W columns are read and turned at a time.
template <class Right>
void pack_columns(Right right, int64_t batch, Steps steps, int64_t column, int64_t columns, float* to, float* line) {
  for (int64_t j = 0; j < rounded(columns, NR); j += W) {
    const float* from[W];
    for (int k = 0; k < W; ++k) {
      from[k] = line + k * LDL;
      if (j + k < columns) from[k] = right(batch, column + j + k, steps.from, steps.count, line + k * LDL);
      else std::fill_n(line + k * LDL, steps.count, 0.0f);
    }
    float* panel = to + j / NR * NR * steps.all + j % NR + steps.at * NR;
    int64_t p = 0;
    for (; p + W <= steps.count; p += W) {
      F rows[W];
#pragma GCC unroll 16
      for (int k = 0; k < W; ++k) rows[k] = load(from[k] + p, Full{});
      turn<W / 2>(rows);
#pragma GCC unroll 16
      for (int k = 0; k < W; ++k) store(panel + (p + k) * NR, rows[k], Full{});
    }
    for (; p < steps.count; ++p) {
      F turned;
      for (int k = 0; k < W; ++k) turned[k] = from[k][p];
      store(panel + p * NR, turned, Full{});
    }
  }
}
// A panel of the left side; whether this lies in memory, so that its next rows can be asked for.
template <bool LEFT_ALONG_STEPS, class Left>
bool pack_left(Left left, int64_t batch, int64_t row, int64_t rows, Steps steps, float* panel) {
  bool in_memory = false;
  for (int64_t p = 0; p < (LEFT_ALONG_STEPS ? rows : steps.count); ++p) {
    float* to = LEFT_ALONG_STEPS ? panel + p * LDL + steps.at : panel + (steps.at + p) * MR;
    const int64_t along = LEFT_ALONG_STEPS ? steps.count : rows;
    const float* from = LEFT_ALONG_STEPS ? left(batch, row + p, steps.from, along, to) : left(batch, steps.from + p, row, along, to);
    if (from == to) continue;
    in_memory = true;
    if (!LEFT_ALONG_STEPS && along == MR) std::memcpy(to, from, MR * sizeof(float));  // a few instructions, not a call
    else std::copy_n(from, along, to);
  }
  return in_memory;
}
struct EveryStep { INLINE bool operator()(int64_t, int64_t) const { return true; } };
// `left` and `right` give the address of a line of values, which they may write to the space they are given: along the
// steps of one row or column, else along the rows or columns of one step. `finish` receives a row of sums. `counts` says
// whether a step of a batch does: others are left out.
//
// A block of rows and columns over the steps from `step` to `steps`; with `several` blocks of them sums wait in memory.
template <bool LEFT_ALONG_STEPS, Layout RIGHT, class Left, class Right, class Finish, class Counts>
void multiply_block(int64_t batch, int64_t row, int64_t height, int64_t column, int64_t width, int64_t step, int64_t steps,
                    int64_t kc, bool several, Left left, Right right, Finish finish, Counts counts) {
  const int64_t nc = rounded(width, NR), packed = kc * (RIGHT == IN_PLACE ? NR : nc), kept = several ? rounded(height, MR) : MR;
  float* panel = scratch(MR * LDL + packed + kept * nc + W * std::max(LDL, nc));
  float *block = panel + MR * LDL, *sums = block + packed, *line = sums + kept * nc;
  const float* in_place[KC];
  Steps found[KC];
  bool first = true;
  do {  // once at least: a sum of nothing is 0
    const int runs = next_steps(counts, batch, step, steps, kc, found);
    const int64_t depth = runs > 0 ? found[0].all : 0, whole = RIGHT == IN_PLACE ? width / NR * NR : 0;
    for (const Steps* run = found; run < found + runs; ++run) {
      if constexpr (RIGHT == ALONG_STEPS) pack_columns(right, batch, *run, column, width, block, line);
      else if constexpr (RIGHT == ALONG_COLUMNS) pack_rows(right, batch, *run, column, width, block, line);
      else {
        for (int64_t p = 0; p < run->count; ++p) in_place[run->at + p] = right(batch, run->from + p, column, width, line);
        if (whole < width) pack_rows(right, batch, *run, column + whole, width - whole, block, line);
      }
    }
    for (int64_t i = 0; i < height; i += MR) {
      const int64_t here = std::min<int64_t>(MR, height - i);
      bool in_memory = false;
      for (const Steps* run = found; run < found + runs; ++run)
        in_memory = pack_left<LEFT_ALONG_STEPS>(left, batch, row + i, here, *run, panel);
      float* results = sums + (several ? i * nc : 0);
      for (int64_t j = 0; j < whole; j += NR)
        tiles<LEFT_ALONG_STEPS ? LDL : 1>(here, depth, panel, InPlace{in_place, j}, results + j, nc, first);
      for (int64_t j = whole; j < width; j += NR) {
        if (LEFT_ALONG_STEPS && in_memory)  // each packed tile asks for some of the next rows
          for (int64_t r = i + MR + MR * j / nc; r < std::min(height, i + MR + MR * (j + NR) / nc); ++r) {
            const float* next = left(batch, row + r, found[0].from, depth, line);
            for (int64_t p = 0; p < depth; p += 64 / sizeof(float)) fetch(next + p);
          }
        tiles<LEFT_ALONG_STEPS ? LDL : 1>(here, depth, panel, Packed{block + (j - whole) * depth}, results + j, nc, first);
      }
      for (int64_t r = 0; r < here && step == steps; ++r) finish(batch, row + i + r, column, width, results + r * nc);
    }
    first = false;
  } while (step < steps);
}
// Tasks are blocks of rows and columns, cut where `tall` rows and `wide` columns end.
template <class Block>
void in_blocks(int64_t batches, int64_t rows, int64_t columns, int64_t steps, int64_t tall, int64_t wide, Block block) {
  int64_t row_blocks = parts(rows, MC), column_blocks = parts(columns, NC);
  while (batches * row_blocks * column_blocks < THREADS && (rows > tall * row_blocks || columns > wide * column_blocks)) {
    const bool whole = columns <= wide * column_blocks;  // blocks of columns are whole tiles
    ++(whole || (rows > tall * row_blocks && rows / row_blocks > columns / column_blocks) ? row_blocks : column_blocks);
  }
  const int64_t mc = rounded(parts(rows, row_blocks), tall), nc = rounded(parts(columns, column_blocks), wide);
  row_blocks = parts(rows, mc), column_blocks = parts(columns, nc);
  const int64_t tasks = batches * row_blocks * column_blocks;
#pragma omp parallel for num_threads(THREADS) schedule(dynamic) if (tasks > 1 && batches * rows * columns * steps > 64 * SERIAL_BELOW)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t row = task / column_blocks % row_blocks * mc, column = task % column_blocks * nc;
    block(task / (row_blocks * column_blocks), row, std::min(mc, rows - row), column, std::min(nc, columns - column));
    fence();  // results may go past the caches
  }
}
template <bool LEFT_ALONG_STEPS, Layout RIGHT, class Left, class Right, class Finish, class Counts = EveryStep>
void multiply(int64_t batches, int64_t rows, int64_t columns, int64_t steps, Left left, Right right, Finish finish, Counts counts = {}) {
  const int64_t step_blocks = parts(steps, KC), kc = parts(steps, step_blocks);
  in_blocks(batches, rows, columns, steps, MR, NR, [=](int64_t batch, int64_t row, int64_t height, int64_t column, int64_t width) {
    multiply_block<LEFT_ALONG_STEPS, RIGHT>(batch, row, height, column, width, 0, steps, kc, step_blocks > 1, left, right, finish, counts);
  });
}
