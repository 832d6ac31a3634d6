// The covariance matrix of complete data, as a matrix or as the rows that it is made of.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "../data/observations.h"
#include "../parallel/reduce.h"

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// S (p x p), or Y (n x p) with S = Y'Y. All work is cut into blocks by size alone, so that the bits of a product do not
// depend on the number of threads.
class FactorMoments {
 public:
  FactorMoments() = default;

  static FactorMoments of_matrix(MatrixXd s) {
    FactorMoments m;
    m.variances_ = s.diagonal();
    m.matrix_ = std::move(s);
    return m;
  }

  static FactorMoments of_rows(MatrixXd rows) {
    FactorMoments m;
    m.variances_ = rows.colwise().squaredNorm().transpose();
    m.rows_ = std::move(rows);
    return m;
  }

  // The rows, forming S if that makes the few hundred products of a fit with one vector each cheaper in all.
  static FactorMoments of_rows_or_matrix(MatrixXd rows, int threads) {
    constexpr double kProducts = 300.0;
    const double n = static_cast<double>(rows.rows()), p = static_cast<double>(rows.cols());
    if (n * p * p + kProducts * 2.0 * p * p < kProducts * 4.0 * n * p) return of_matrix(cross_product(rows, threads));
    return of_rows(std::move(rows));
  }

  Index size() const { return variances_.size(); }
  const VectorXd& variances() const { return variances_; }
  bool formed() const { return matrix_.size() > 0; }
  const MatrixXd& matrix() const { return matrix_; }

  MatrixXd dense(int threads) const { return formed() ? matrix_ : cross_product(rows_, threads); }

  // S v for a block v (p x b) of vectors.
  MatrixXd product(const Eigen::Ref<const MatrixXd>& v, int threads) const {
    MatrixXd out(size(), v.cols());
    if (formed()) {
      multiply_transposed(matrix_, v, threads, out);
      return out;
    }
    MatrixXd scores(rows_.rows(), v.cols());
    in_blocks(rows_.rows(), work(rows_, v), threads, [&](Index begin, Index count) {
      scores.middleRows(begin, count).noalias() = rows_.middleRows(begin, count) * v;
    });
    multiply_transposed(rows_, scores, threads, out);
    return out;
  }

  // S split at a set b of variables (ascending): S_bb, and S_rb of all others, r.
  struct Split {
    std::vector<Index> rest;
    MatrixXd inner, cross;
  };
  Split split(const std::vector<Index>& set, int threads) const {
    Split out;
    out.rest = complement(set);
    const Index b = static_cast<Index>(set.size());
    MatrixXd units = MatrixXd::Zero(size(), b);
    for (Index j = 0; j < b; ++j) units(set[static_cast<size_t>(j)], j) = 1.0;
    const MatrixXd s = product(units, threads);
    out.inner.resize(b, b);
    out.cross.resize(static_cast<Index>(out.rest.size()), b);
    for (Index j = 0; j < b; ++j) out.inner.row(j) = s.row(set[static_cast<size_t>(j)]);
    for (Index i = 0; i < out.cross.rows(); ++i) out.cross.row(i) = s.row(out.rest[static_cast<size_t>(i)]);
    return out;
  }

  // Residual moments of all other variables given those of the set, S_rr - S_rb S_bb^-1 S_br. False where a variable
  // has no residual variance; `singular` is then its number.
  bool given(const std::vector<Index>& set, const Split& parts, FactorMoments& residual, Index& singular) const {
    // Of a variance: what rounding leaves of an exact linear dependence.
    constexpr double kNothing = 1e-11;
    const Index r = parts.cross.rows(), b = parts.cross.cols();
    const Eigen::LLT<MatrixXd> root(parts.inner);
    for (Index j = 0; j < b; ++j) {
      singular = set[static_cast<size_t>(j)];
      const double pivot = root.info() == Eigen::Success ? root.matrixLLT()(j, j) : 0.0;
      if (!(pivot * pivot > kNothing * variances_(singular))) return false;
    }
    const MatrixXd coefficients = root.solve(parts.cross.transpose());  // b x r
    if (formed()) {
      MatrixXd z(r, r);
      for (Index j = 0; j < r; ++j)
        for (Index i = 0; i < r; ++i)
          z(i, j) = matrix_(parts.rest[static_cast<size_t>(i)], parts.rest[static_cast<size_t>(j)]);
      z.noalias() -= parts.cross * coefficients;
      residual = of_matrix(0.5 * (z + z.transpose()));
    } else {
      MatrixXd y(rows_.rows(), r), known(rows_.rows(), b);
      for (Index j = 0; j < b; ++j) known.col(j) = rows_.col(set[static_cast<size_t>(j)]);
      for (Index j = 0; j < r; ++j) y.col(j) = rows_.col(parts.rest[static_cast<size_t>(j)]);
      y.noalias() -= known * coefficients;
      residual = of_rows(std::move(y));
    }
    for (Index i = 0; i < r; ++i) {
      singular = parts.rest[static_cast<size_t>(i)];
      if (!(residual.variances_(i) > kNothing * variances_(singular))) return false;
    }
    return true;
  }

 private:
  // The numbers below size() that are not in `set` (ascending).
  std::vector<Index> complement(const std::vector<Index>& set) const {
    std::vector<Index> out;
    size_t at = 0;
    for (Index j = 0; j < size(); ++j) {
      if (at < set.size() && set[at] == j)
        ++at;
      else
        out.push_back(j);
    }
    return out;
  }

  static constexpr Index kBlock = 128;
  static constexpr double kParallelWork = 2e6;  // flops below which a second thread costs more than it saves

  static double work(const MatrixXd& a, const Eigen::Ref<const MatrixXd>& v) {
    return 2.0 * static_cast<double>(a.size()) * static_cast<double>(v.cols());
  }

  template <class Task>
  static void in_blocks(Index n, double flops, int threads, const Task& task) {
    const size_t count = static_cast<size_t>((n + kBlock - 1) / kBlock);
    parallel_tasks(count, flops > kParallelWork ? threads : 1, [&](size_t i) {
      const Index begin = static_cast<Index>(i) * kBlock;
      task(begin, std::min(kBlock, n - begin));
    });
  }

  static void multiply_transposed(const MatrixXd& a, const Eigen::Ref<const MatrixXd>& v, int threads, MatrixXd& out) {
    in_blocks(a.cols(), work(a, v), threads, [&](Index begin, Index count) {
      out.middleRows(begin, count).noalias() = a.middleCols(begin, count).transpose() * v;
    });
  }

  static MatrixXd cross_product(const MatrixXd& rows, int threads) {
    const Index p = rows.cols();
    MatrixXd s(p, p);
    const double flops = static_cast<double>(p) * static_cast<double>(rows.size());
    in_blocks(p, flops, threads, [&](Index begin, Index count) {
      const auto block = rows.middleCols(begin, count);
      s.block(begin, begin, p - begin, count).noalias() = rows.rightCols(p - begin).transpose() * block;
    });
    s.triangularView<Eigen::StrictlyUpper>() = s.transpose();
    return s;
  }

  MatrixXd matrix_, rows_;
  VectorXd variances_;
};

// Complete data, centred and in the core's units, each row times the root of its share of the weights: S = Y'Y with
// divisor n. `scale` (p): what the columns are divided by.
inline MatrixXd weighted_rows(const RawData& raw, const ColumnMoments& moments, const VectorXd& scale, double n,
                              int threads) {
  MatrixXd out(static_cast<Index>(raw.n), static_cast<Index>(raw.d));
  VectorXd root = VectorXd::Constant(out.rows(), 1.0 / std::sqrt(n));
  if (raw.weights)
    root.array() *= Eigen::Map<const Eigen::ArrayXd>(raw.weights, out.rows()).sqrt();
  parallel_tasks(raw.d, threads, [&](size_t j) {
    const Eigen::Map<const Eigen::ArrayXd> x(raw.x + j * raw.n, out.rows());
    const Index column = static_cast<Index>(j);
    out.col(column).array() = (x - moments.mean[j]) * (root.array() / scale(column));
  });
  return out;
}

}  // namespace emkit
