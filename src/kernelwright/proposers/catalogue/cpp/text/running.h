// Running results along a row, from its beginning or, `backward`, from its end; sums and products are carried in double.
template <class T, template <class, int> class Op, bool backward> struct Running {
  using Carried = Wide<T>;
  Carried carry = Op<Carried, 1>::start;
  template <class Span> INLINE vec<T> next(vec<T> v, Span span) {
    const vec<T> nothing = splat(T(Op<T, 1>::start));
    v = keep(v, nothing, span);
    if constexpr (W > 8) v = Op<T, 1>::join(moved<8>(v, nothing), v);
    if constexpr (W > 4) v = Op<T, 1>::join(moved<4>(v, nothing), v);
    v = Op<T, 1>::join(moved<2>(v, nothing), v);
    v = Op<T, 1>::join(moved<1>(v, nothing), v);
    const vec<Carried> all = Op<Carried, 1>::join(splat(carry), convert<Carried>(v));
    carry = all[backward ? 0 : W - 1];
    return convert<T>(all);
  }
  template <int S> static INLINE vec<T> moved(vec<T> v, vec<T> nothing) {  // by S lanes, nothing in their place
    vec<std::conditional_t<sizeof(T) == 8, int64_t, int32_t>> at{};
    for (int k = 0; k < W; ++k) at[k] = backward ? (k + S < W ? k + S : W) : (k < S ? W : k - S);
    return __builtin_shuffle(v, nothing, at);
  }
};
// Vectors of [begin, end) from its end.
template <class Body, class... Sums>
INLINE inline void sweep_back(int64_t begin, int64_t end, Body&& body, Sums&... sums) {
  int64_t j = begin + (end - begin) / W * W;
  if (j < end) body(Part{static_cast<int>(end - j)}, j, std::integral_constant<int, 0>{});
  (sums.fold(), ...);
  while ((j -= W) >= begin) {
    body(Full{}, j, std::integral_constant<int, 0>{});
    (sums.fold(), ...);
  }
}
// Running results of columns, kept in memory from row to row.
template <class Op, class S, class V, class Span> INLINE inline V run_on(S* state, V v, Span span) {
  const vec<S> now = Op::join(load(state, span), convert<S>(v));
  store(state, now, span);
  return convert<std::remove_reference_t<decltype(v[0])>>(now);
}
