// Sums over windows of 3 x 3 that move by one place, 2 x 2 results at a time, with 16 multiplications instead of 36: windows
// of 4 x 4 and weights are each made 16 other numbers, which are multiplied, added up over the channels, and made results
// (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, after S. Winograd). Errors are relative to
// the largest number of the window times the largest weight, also where that number meets a weight of 0.
constexpr int FORMS = 16;
struct Image { int64_t planes, rows, columns, rows_apart, pitch; };  // of results; rows and columns of the right side in memory
template <class V> INLINE inline void form_weights(const V (&g)[3][3], V (&forms)[FORMS]) {
  const auto four = [](V a, V b, V c, V* to) INLINE {
    const V outer = (a + c) * 0.5f, half = b * 0.5f;
    to[0] = a, to[1] = outer + half, to[2] = outer - half, to[3] = c;
  };
  V rows[3][4], columns[4];
  for (int i = 0; i < 3; ++i) four(g[i][0], g[i][1], g[i][2], rows[i]);
  for (int j = 0; j < 4; ++j) {
    four(rows[0][j], rows[1][j], rows[2][j], columns);
    for (int i = 0; i < 4; ++i) forms[i * 4 + j] = columns[i];
  }
}
// The left side as [form, block of MR rows, channel, row], 0 past the last row.
template <class Left> void form_left(Left left, int64_t rows, int64_t channels, float* to) {
  const int64_t blocks = parts(rows, MR), steps = 9 * channels;
#pragma omp for
  for (int64_t block = 0; block < blocks; ++block) {
    float* lines = scratch((MR + 1) * steps);
    const float* from[MR];
    std::fill_n(lines + MR * steps, steps, 0.0f);
    for (int64_t r = 0; r < MR; ++r)
      from[r] = block * MR + r < rows ? left(0, block * MR + r, 0, steps, lines + r * steps) : lines + MR * steps;
    for (int64_t c = 0; c < channels; ++c)
      for (int r = 0; r < MR; r += W) {
        const Part here{std::min(W, MR - r)};
        F g[3][3]{}, forms[FORMS];
        for (int k = 0; k < 9; ++k)
          for (int lane = 0; lane < here.n; ++lane) g[k / 3][k % 3][lane] = from[r + lane][c * 9 + k];
        form_weights(g, forms);
        for (int f = 0; f < FORMS; ++f) store(to + ((f * blocks + block) * channels + c) * MR + r, forms[f], here);
      }
  }
}
// Every second lane of two vectors, and the other way round.
template <int FIRST> INLINE inline F every_second(F a, F b) {
  I lanes{};
  for (int k = 0; k < W; ++k) lanes[k] = 2 * k + FIRST;
  return __builtin_shuffle(a, b, lanes);
}
template <int FIRST> INLINE inline F in_turn(F a, F b) {
  I lanes{};
  for (int k = 0; k < W; ++k) lanes[k] = (k + FIRST) / 2 + (k % 2) * W;
  return __builtin_shuffle(a, b, lanes);
}
// The forms of W windows that begin at every second place of four rows from `at` on, each to its form's line: lines are `line`
// apart. With `Part` rows end at `length`; windows beyond have forms that nobody asks for.
template <class Span>
INLINE inline void form_windows(const float* const (&rows)[4], int64_t at, Span, int64_t length, float* to, int64_t line) {
  const auto get = [=](const float* row, int64_t j) INLINE {
    if constexpr (std::is_same_v<Span, Full>) return load(row + j, Full{});
    else return load(row + std::min(j, length), Part{static_cast<int>(std::clamp<int64_t>(length - j, 0, W))});
  };
  F down[4][4];  // four vectors of each row
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const int64_t j = at + (v % 2) * W + (v / 2) * 2;
    const F a = get(rows[0], j), b = get(rows[1], j), c = get(rows[2], j), d = get(rows[3], j);
    down[0][v] = a - c, down[1][v] = b + c, down[2][v] = c - b, down[3][v] = b - d;
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const F a = every_second<0>(down[i][0], down[i][1]), b = every_second<1>(down[i][0], down[i][1]);
    const F c = every_second<0>(down[i][2], down[i][3]), d = every_second<1>(down[i][2], down[i][3]);
    float* out = to + 4 * i * line;
    store(out, a - c, Full{}), store(out + line, b + c, Full{});
    store(out + 2 * line, c - b, Full{}), store(out + 3 * line, b - d, Full{});
  }
}
// Two rows of 2 W results of the sums of W windows' forms.
INLINE inline void results_of(const float* sums, int64_t form, float* first, float* second) {
  F above[4], below[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const F a = load(sums + j * form, Full{}), b = load(sums + (4 + j) * form, Full{});
    const F c = load(sums + (8 + j) * form, Full{}), d = load(sums + (12 + j) * form, Full{});
    above[j] = a + b + c, below[j] = b - c - d;
  }
  const auto put_row = [](const F (&m)[4], float* to) INLINE {
    const F left = m[0] + m[1] + m[2], right = m[1] - m[2] - m[3];
    store(to, in_turn<0>(left, right), Full{}), store(to + W, in_turn<W>(left, right), Full{});
  };
  put_row(above, first), put_row(below, second);
}
// The same, one row of results after the other as they are asked for: forms may overflow where sums do not, and what is
// infinite in two forms is missing in their difference.
template <class Left, class Right>
void sum_windows(int64_t batch, int64_t row, int64_t channels, int64_t column, int64_t count, Left left, Right right,
                 float* to) {
  const float* weights = left(0, row, 0, 9 * channels, scratch<2>(9 * channels));
  std::fill_n(to, count, 0.0f);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < 9; ++i) {
      const float* from = right(batch, 9 * c + i, column, count, nullptr);
      sweep<1>(0, count, [=](auto span, int64_t j, auto) INLINE {
        store(to + j, load(to + j, span) + splat(weights[9 * c + i]) * load(from + j, span), span);
      });
    }
}
inline bool all_finite(const float* from, int64_t count) {
  M none{};
  sweep<1>(0, count, [&](auto span, int64_t j, auto) INLINE {
    const F v = load(from + j, span);
    none |= v - v != 0.0f;
  });
  return !any(none);
}
// Tasks are blocks of lines of tiles: a tile is 2 x 2 results.
template <int64_t TILES, class Left, class Right, class Finish>
void multiply_windows(int64_t batches, int64_t rows, int64_t channels, Image image, Left left, Right right, Finish finish) {
  const int64_t down = parts(image.rows, 2), whole = parts(image.columns, 2), chunks = parts(whole, TILES);
  const int64_t across = parts(whole, chunks), lines = batches * image.planes * down;
  int64_t together = 1;  // lines of a block: as many as leave the least of its panels empty
  for (int64_t n = 2; n * across <= TILES; ++n)
    if (rounded(n * across, NR) * together <= rounded(together * across, NR) * n) together = n;
  while (parts(lines, together) * chunks < THREADS && (together - 1) * across >= NR) --together;
  const int64_t blocks = parts(rows, MR), groups = parts(lines, together) * chunks, depth = channels + 1;
  const int64_t shares = std::min(blocks, std::max<int64_t>(1, THREADS / groups));  // of the rows, where lines are few
  const int64_t tasks = groups * shares;
  const int64_t seen = image.columns + 2;  // of a row of the right side
  float* weights = scratch<1>(FORMS * blocks * MR * channels);
#pragma omp parallel num_threads(THREADS) if (18 * rows * channels * image.columns * lines > 64 * SERIAL_BELOW)
  {
    form_left(left, rows, channels, weights);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t share = task % shares, group = task / shares;
      const int64_t begin = group / chunks * together, end = std::min(lines, begin + together), x = group % chunks * across;
      const int64_t here = std::min(across, whole - x), width = rounded((end - begin) * here, NR), panel = depth * NR;
      float* windows = scratch(FORMS * (depth * width + MR * width + width + 2 * W) + 4 * (here + W));
      float *sums = windows + FORMS * depth * width, *line = sums + FORMS * MR * width + W, *above = line + FORMS * (width + W);
      float* below = above + 2 * (here + W);
      const auto place = [=](int64_t at) INLINE {
        return std::array{at / (image.planes * down), at / down % image.planes, 2 * (at % down)};
      };
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t at = begin; at < end; ++at) {
          const auto [batch, plane, y] = place(at);
          const float* from[4];
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t row = plane * image.rows_apart + std::min(y + i, image.rows + 1);
            from[i] = right(batch, 9 * c, row * image.pitch, seen, nullptr);  // it lies in memory
          }
          for (int64_t t = 0; t < here; t += W) {
            float* to = line + (at - begin) * here + t;
            const int64_t j = 2 * (x + t);
            if (j + 2 * W + 2 <= seen) form_windows(from, j, Full{}, seen, to, width + W);
            else form_windows(from, j, Part{}, seen, to, width + W);
          }
        }
        for (int f = 0; f < FORMS; ++f)
          for (int64_t j = 0; j < width; j += NR)
            for (int v = 0; v < NR; v += W)
              store(windows + (f * (width / NR) + j / NR) * panel + c * NR + v, load(line + f * (width + W) + j + v, Full{}), Full{});
      }
      for (int64_t block = blocks * share / shares; block < blocks * (share + 1) / shares; ++block) {
        const int64_t count = std::min<int64_t>(MR, rows - block * MR);
        for (int f = 0; f < FORMS; ++f)
          for (int64_t j = 0; j < width; j += NR)
            tiles<1>(count, channels, weights + (f * blocks + block) * channels * MR,
                     Packed{windows + (f * (width / NR) + j / NR) * panel}, sums + f * MR * width + j, width, true);
        for (int64_t r = 0; r < count; ++r)
          for (int64_t at = begin; at < end; ++at) {
            const auto [batch, plane, y] = place(at);
            for (int64_t t = 0; t < here; t += W)
              results_of(sums + r * width + (at - begin) * here + t, MR * width, above + 2 * t, below + 2 * t);
            const int64_t column = (plane * image.rows_apart + y) * image.pitch + 2 * x;
            const int64_t n = std::min(2 * here, image.columns - 2 * x);
            for (int64_t i = 0; i < std::min<int64_t>(2, image.rows - y); ++i) {
              float* made = i == 0 ? above : below;
              const int64_t first = column + i * image.pitch;
              if (!all_finite(made, n)) sum_windows(batch, block * MR + r, channels, first, n, left, right, made);
              finish(batch, block * MR + r, first, n, made);
            }
          }
      }
      fence();
    }
  }
}
