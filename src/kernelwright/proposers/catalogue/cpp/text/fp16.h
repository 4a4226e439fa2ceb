using fp16 = _Float16;
template <class Span> INLINE inline F load(const fp16* p, Span span) {
  const vec<uint16_t> h = raw(reinterpret_cast<const uint16_t*>(p), span);
#if defined(__AVX512F__)
  return (F)_mm512_cvtph_ps((__m256i)h);
#elif defined(__F16C__) && defined(__AVX__)
  return (F)_mm256_cvtph_ps((__m128i)h);
#else
  F v;
  for (int k = 0; k < W; ++k) v[k] = reinterpret_cast<const fp16*>(&h)[k];
  return v;
#endif
}
template <class Span> INLINE inline void store(fp16* p, F v, Span span, bool past = false) {
  vec<uint16_t> h;
#if defined(__AVX512F__)
  h = (vec<uint16_t>)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT);
#elif defined(__F16C__) && defined(__AVX__)
  h = (vec<uint16_t>)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
#else
  for (int k = 0; k < W; ++k) reinterpret_cast<fp16*>(&h)[k] = static_cast<fp16>(v[k]);
#endif
  store(reinterpret_cast<uint16_t*>(p), h, span, past);
}
