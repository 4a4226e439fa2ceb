#if defined(__AVX512F__)
#define ROUNDED(x, mode) ((F)_mm512_roundscale_ps((__m512)(x), mode))
#elif defined(__AVX__)
#define ROUNDED(x, mode) ((F)_mm256_round_ps((__m256)(x), mode))
#else
#define ROUNDED(x, mode) rounded<mode>(x)
template <int mode> INLINE inline F rounded(F v) {
  for (int k = 0; k < W; ++k)
    v[k] = mode == 8 ? std::nearbyint(v[k]) : mode == 9 ? std::floor(v[k]) : mode == 10 ? std::ceil(v[k]) : std::trunc(v[k]);
  return v;
}
#endif
INLINE inline F round(F x) { return ROUNDED(x, 8); }  // to nearest, ties to even
INLINE inline F floor(F x) { return ROUNDED(x, 9); }
INLINE inline F ceil(F x) { return ROUNDED(x, 10); }
INLINE inline F trunc(F x) { return ROUNDED(x, 11); }
