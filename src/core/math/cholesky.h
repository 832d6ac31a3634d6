// Packed Cholesky factors: the rows of a lower triangle one after another, entry (j, l) at j (j + 1) / 2 + l.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>

namespace emkit {

using std::size_t;

constexpr double kLog2Pi = 1.8378770664093454835606594728112;

inline size_t packed_size(size_t d) { return d * (d + 1) / 2; }
inline size_t packed_index(size_t j, size_t l) { return j * (j + 1) / 2 + l; }

// From here on Eigen's blocked algorithms are worth their copies.
constexpr size_t kBlockedCholesky = 48;

inline bool cholesky_packed_blocked(const Eigen::Ref<const Eigen::MatrixXd>& a, double* factor) {
  const Eigen::LLT<Eigen::MatrixXd> llt(a);
  if (llt.info() != Eigen::Success) return false;
  const Eigen::MatrixXd& lower = llt.matrixLLT();
  for (Eigen::Index l = 0; l < a.rows(); ++l) {
    if (!(lower(l, l) > 0.0) || !std::isfinite(lower(l, l))) return false;
    for (Eigen::Index j = l; j < a.rows(); ++j)
      factor[packed_index(static_cast<size_t>(j), static_cast<size_t>(l))] = lower(j, l);
  }
  return true;
}

// Cholesky factor of the symmetric d x d matrix `a` (lower triangle read). False when `a` is not positive definite, and
// `factor` is then unusable.
inline bool cholesky_packed(const Eigen::Ref<const Eigen::MatrixXd>& a, double* factor) {
  const size_t d = static_cast<size_t>(a.rows());
  if (d >= kBlockedCholesky) return cholesky_packed_blocked(a, factor);
  for (size_t j = 0; j < d; ++j) {
    double* row = factor + packed_index(j, 0);
    for (size_t l = 0; l <= j; ++l) {
      const double* other = factor + packed_index(l, 0);
      double s = a(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(l));
      for (size_t m = 0; m < l; ++m) s -= row[m] * other[m];
      if (l < j) {
        row[l] = s / other[l];
      } else {
        if (!(s > 0.0) || !std::isfinite(s)) return false;
        row[j] = std::sqrt(s);
      }
    }
  }
  return true;
}

inline Eigen::MatrixXd unpack_lower(const double* factor, size_t d) {
  const Eigen::Index n = static_cast<Eigen::Index>(d);
  Eigen::MatrixXd lower = Eigen::MatrixXd::Zero(n, n);
  for (Eigen::Index j = 0; j < n; ++j)
    for (Eigen::Index l = 0; l <= j; ++l)
      lower(j, l) = factor[packed_index(static_cast<size_t>(j), static_cast<size_t>(l))];
  return lower;
}

// The same of a factor whose diagonal is stored as reciprocals.
inline Eigen::MatrixXd unpack_reciprocal(const double* factor, size_t d) {
  Eigen::MatrixXd lower = unpack_lower(factor, d);
  lower.diagonal() = lower.diagonal().cwiseInverse();
  return lower;
}

// L^-1, some columns at a time: they are zero above the diagonal.
inline Eigen::MatrixXd inverse_lower(const Eigen::MatrixXd& lower) {
  constexpr Eigen::Index kColumns = 32;
  const Eigen::Index d = lower.rows();
  Eigen::MatrixXd out = Eigen::MatrixXd::Identity(d, d);
  for (Eigen::Index j = 0; j < d; j += kColumns)
    lower.bottomRightCorner(d - j, d - j)
        .triangularView<Eigen::Lower>()
        .solveInPlace(out.block(j, j, d - j, std::min(kColumns, d - j)));
  return out;
}

// The diagonal of A^-1 for A = L L': entry j is the squared norm of column j of L^-1.
inline Eigen::VectorXd inverse_diagonal(const double* factor, size_t d) {
  if (d >= kBlockedCholesky) return inverse_lower(unpack_lower(factor, d)).colwise().squaredNorm();
  Eigen::VectorXd out(static_cast<Eigen::Index>(d)), column(static_cast<Eigen::Index>(d));
  for (size_t j = 0; j < d; ++j) {
    double norm = 0.0;
    for (size_t i = j; i < d; ++i) {
      double s = i == j ? 1.0 : 0.0;
      for (size_t m = j; m < i; ++m) s -= factor[packed_index(i, m)] * column(static_cast<Eigen::Index>(m));
      s /= factor[packed_index(i, i)];
      column(static_cast<Eigen::Index>(i)) = s;
      norm += s * s;
    }
    out(static_cast<Eigen::Index>(j)) = norm;
  }
  return out;
}

// The kernels multiply by the reciprocal of the diagonal.
inline void invert_diagonal(double* factor, size_t d) {
  for (size_t j = 0; j < d; ++j) factor[packed_index(j, j)] = 1.0 / factor[packed_index(j, j)];
}

}  // namespace emkit
