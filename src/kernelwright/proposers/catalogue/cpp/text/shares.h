// The same where results are few and steps are many: tasks are shares of the steps, whose sums are added up at the end.
template <bool LEFT_ALONG_STEPS, Layout RIGHT, class Left, class Right, class Finish, class Counts = EveryStep>
void multiply_in_shares(int64_t batches, int64_t rows, int64_t columns, int64_t steps, Left left, Right right, Finish finish, Counts counts = {}) {
  const int64_t step_blocks = parts(steps, KC), kc = parts(steps, step_blocks), shares = std::min<int64_t>(THREADS, step_blocks);
  const int64_t row_blocks = parts(rows, MC), column_blocks = parts(columns, NC), blocks = batches * row_blocks * column_blocks;
  const int64_t mc = rounded(parts(rows, row_blocks), MR), nc = rounded(parts(columns, column_blocks), NR);
  const int64_t lines = batches * rows;
  std::vector<float> sums(shares * lines * columns);
#pragma omp parallel num_threads(THREADS) if (lines * columns * steps > 64 * SERIAL_BELOW)
  {
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < shares * blocks; ++task) {
      const int64_t share = task % shares, at = task / shares;
      const int64_t from = step_blocks * share / shares * kc, to = std::min(steps, step_blocks * (share + 1) / shares * kc);
      const int64_t row = at / column_blocks % row_blocks * mc, column = at % column_blocks * nc;
      const auto keep = [&](int64_t batch, int64_t line, int64_t begin, int64_t count, const float* values) INLINE {
        std::copy_n(values, count, &sums[(share * lines + batch * rows + line) * columns + begin]);
      };
      if (row < rows && column < columns)
        multiply_block<LEFT_ALONG_STEPS, RIGHT>(at / (row_blocks * column_blocks), row, std::min(mc, rows - row), column,
                                                std::min(nc, columns - column), std::min(from, to), to, kc, true, left, right, keep, counts);
    }
#pragma omp for
    for (int64_t line = 0; line < lines; ++line) {
      float* total = &sums[line * columns];
      for (int64_t share = 1; share < shares; ++share)
        sweep<1>(0, columns, [&](auto span, int64_t j, auto) INLINE {
          store(total + j, load(total + j, span) + load(total + share * lines * columns + j, span), span);
        });
      finish(line / rows, line % rows, 0, columns, total);
    }
    fence();
  }
}
