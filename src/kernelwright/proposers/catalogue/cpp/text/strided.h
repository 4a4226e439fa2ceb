// Every S-th element from p on, backwards where S is negative; nothing beyond the last one is touched.
template <int S, class T, class Span> INLINE inline auto load_every(const T* p, Span span) {
  if constexpr (S == 1) return load(p, span);
  else if constexpr (std::is_arithmetic_v<T> && std::is_same_v<Span, Full> && sizeof(T) == 4 && (S == 2 || S == -1)) {
    vec<int32_t> at{};
    for (int k = 0; k < W; ++k) at[k] = S == -1 ? W - 1 - k : k < W / 2 ? 2 * k : 2 * k + 1;
    const vec<T> low = raw(S == -1 ? p - (W - 1) : p, span), high = S == -1 ? low : raw(p + W - 1, span);
    return vec<T>(__builtin_shuffle(low, high, at));
  } else {
    loaded<T> v{};
    for (int k = 0; k < span.n; ++k) v[k] = p[k * S];
    return load(reinterpret_cast<const T*>(&v), Full{});
  }
}
