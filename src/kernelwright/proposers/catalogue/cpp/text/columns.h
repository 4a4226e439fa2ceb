// Tasks' results for all columns, one task after another, combined pairwise into the first task's.
template <class Op, class T> void combine_columns(std::vector<T>& parts, int64_t tasks, int64_t columns) {
  for (int64_t step = 1; step < tasks; step *= 2)
    for (int64_t task = 0; task + step < tasks; task += 2 * step) {
      T *into = &parts[task * columns], *from = &parts[(task + step) * columns];
      sweep<1>(0, columns, [&](auto span, int64_t j, auto) INLINE {
        store(into + j, Op::join(load(from + j, span), load(into + j, span)), span);
      });
    }
}
// A column's best value and the row it is in.
template <bool largest, class T, class V, class Span>
INLINE inline void note_best(T* best, int32_t* at, V v, int64_t row, Span span) {
  const V now = load(best, span);
  const auto better = (largest ? v > now : v < now) | ((v != v) & (now == now));
  store(best, better ? v : now, span);
  store(at, mask(better) ? splat<int32_t>(row) : load(at, span), span);
}
