// The sign of a - b, which grows by S from lane to lane; what is too far from 0 for 32 bits is cut.
template <int S> INLINE inline I signs(int64_t a, int64_t b) {
  int64_t apart;
  if (__builtin_sub_overflow(a, b, &apart)) apart = a < b ? -(1 << 30) : 1 << 30;
  I lane{};
  for (int k = 0; k < W; ++k) lane[k] = k * S;
  return splat(static_cast<int32_t>(std::clamp<int64_t>(apart, -(1 << 30), 1 << 30))) + lane;
}
