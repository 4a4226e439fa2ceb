// The columns [from, to) of a row between which all lie that `counts` says something for, as far as whole vectors show it;
// all columns where there are none.
struct Range { int64_t from, to; };
template <class Counts> Range between(int64_t size, Counts counts) {
  const int64_t whole = size / W * W;
  const Part rest{static_cast<int>(size - whole)};
  int64_t from = 0, to = size;
  while (from < whole && !any(counts(Full{}, from))) from += W;
  if (from < size && (whole == size || !any(keep(counts(rest, whole), M{}, rest))))
    for (to = whole; to > from && !any(counts(Full{}, to - W));) to -= W;
  return from < to ? Range{from, to} : Range{0, size};
}
struct EveryColumn { INLINE Range operator()(int64_t, int64_t) const { return {0, std::numeric_limits<int64_t>::max()}; } };
// Attention: MR rows of scores at a time stay in the second-level cache from the first product to the second. `weigh`
// turns a row of scores into weights where it lies; `values` is the right side that these are multiplied with. Scores
// outside of the columns that `reach` gives for a row are not computed: their weight is 0.
template <bool LEFT_ALONG_STEPS, Layout RIGHT, Layout VALUES, class Left, class Right, class Weigh, class Values, class Finish,
          class Reach = EveryColumn>
void attend(int64_t batches, int64_t rows, int64_t keys, int64_t steps, int64_t columns, Left left, Right right, Weigh weigh,
            Values values, Finish finish, Reach reach = {}) {
  // Keys and values are packed once a task: as few tasks as occupy all threads.
  const int64_t most = parts(rows, MR), chunks = std::min(most, parts(2 * THREADS, std::max<int64_t>(batches, 1)));
  const int64_t chunk = rounded(parts(rows, chunks), MR), tasks = batches * parts(rows, chunk);
  const int64_t wide = rounded(keys, NR) + W, narrow = rounded(columns, NR);
  const int64_t sc = parts(steps, parts(steps, KC)), kc = parts(keys, parts(keys, KC));
#pragma omp parallel for num_threads(THREADS) schedule(dynamic) if (tasks > 1 && batches * rows * keys * steps > 64 * SERIAL_BELOW)
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t batch = task / (tasks / batches), row = task % (tasks / batches) * chunk;
    const int64_t lines = W * std::max({LDL, wide, narrow});
    float* panel = scratch(MR * LDL + wide * steps + narrow * keys + MR * (wide + narrow) + wide + lines);
    float *keys_packed = panel + MR * LDL, *values_packed = keys_packed + wide * steps;
    float *scores = values_packed + narrow * keys, *sums = scores + MR * wide, *spare = sums + MR * narrow, *line = spare + wide;
    for (int64_t s = 0; s < steps; s += sc) {
      const int64_t depth = std::min(sc, steps - s);
      if constexpr (RIGHT == ALONG_STEPS) pack_columns(right, batch, {s, depth, 0, depth}, 0, keys, keys_packed + s * wide, line);
      else pack_rows(right, batch, {s, depth, 0, depth}, 0, keys, keys_packed + s * wide, line);
    }
    for (int64_t k = 0; k < keys; k += kc) {
      const int64_t depth = std::min(kc, keys - k);
      if constexpr (VALUES == ALONG_STEPS) pack_columns(values, batch, {k, depth, 0, depth}, 0, columns, values_packed + k * narrow, line);
      else pack_rows(values, batch, {k, depth, 0, depth}, 0, columns, values_packed + k * narrow, line);
    }
    for (int64_t i = row; i < std::min(rows, row + chunk); i += MR) {
      const int64_t here = std::min<int64_t>(MR, rows - i);
      Range seen{keys, 0};
      for (int64_t r = 0; r < here; ++r) {
        const Range one = reach(batch, i + r);
        seen = {std::min(seen.from, one.from), std::min(keys, std::max(seen.to, one.to))};
      }
      const int64_t from = seen.from / NR * NR, to = seen.to;  // from whole panels on
      for (int64_t s = 0; s == 0 || s < steps; s += sc) {
        const int64_t depth = std::min(sc, steps - s);
        pack_left<LEFT_ALONG_STEPS>(left, batch, i, here, {s, depth, 0, depth}, panel);
        for (int64_t j = from; j < to; j += NR)
          tiles<LEFT_ALONG_STEPS ? LDL : 1>(here, depth, panel, Packed{keys_packed + s * wide + j * depth}, scores + j, wide, s == 0);
      }
      for (int64_t r = 0; r < here; ++r) weigh(batch, i + r, from, to, scores + r * wide, spare);
      const auto weights = [=](int64_t, int64_t r, int64_t k, int64_t, float*) INLINE { return scores + r * wide + k; };
      bool first = true;
      for (int64_t k = from / kc * kc; first || k < to; k += kc) {
        const int64_t depth = std::min(kc, keys - k), at = std::max(from, k), count = std::min(to, k + depth) - at;
        pack_left<true>(weights, batch, 0, here, {at, count, 0, count}, panel);
        for (int64_t j = 0; j < columns; j += NR)
          tiles<LDL>(here, count, panel, Packed{values_packed + k * narrow + j * depth + (at - k) * NR}, sums + j, narrow, first);
        first = false;
      }
      for (int64_t r = 0; r < here; ++r) finish(batch, i + r, 0, columns, sums + r * narrow);
    }
  }
}
