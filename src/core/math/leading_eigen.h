// The leading eigenpairs of a symmetric positive semidefinite operator.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "counter_rng.h"

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

struct Eigenpairs {
  VectorXd values;   // descending
  MatrixXd vectors;  // p x (at least as many), orthonormal columns
};

// Every eigenpair of a small matrix, descending.
inline Eigenpairs all_eigenpairs(const MatrixXd& a) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(a);
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

// Loadings on q principal components, of what their variances exceed `rest` by (Tipping & Bishop 1999).
inline MatrixXd principal_loadings(const Eigenpairs& pairs, Index q, double rest) {
  return pairs.vectors.leftCols(q) * (pairs.values.head(q).array() - rest).max(0.0).sqrt().matrix().asDiagonal();
}

// Block Krylov spaces with Rayleigh-Ritz and thick restarts (as in Saad 2011, Numerical Methods for Large Eigenvalue
// Problems, chapters 6 and 7). A good first block (`warm`, of the point before) leaves little to do.
template <class Apply>
class BlockKrylov {
 public:
  // apply(v) -> A v for a block of columns.
  BlockKrylov(Index p, Index q, const Apply& apply) : p_(p), q_(q), apply_(apply) {
    block_ = std::min(p, q + std::max<Index>(2, q / 4));
    capacity_ = std::min(p, 4 * block_ + 8);
    basis_.resize(p, capacity_);
    image_.resize(p, capacity_);
    gram_.resize(capacity_, capacity_);
  }

  // Until every residual ||A v - g v|| is at most `tol` g. Ritz values never exceed eigenvalues, and whoever uses them
  // with their own vectors makes no error at all: vectors only have to be good.
  Eigenpairs solve(const MatrixXd& warm, double tol) {
    MatrixXd first(p_, block_);
    const Index given = warm.rows() == p_ ? std::min(warm.cols(), block_) : 0;
    if (given > 0) first.leftCols(given) = warm.leftCols(given);
    CounterRng rng(0x6661, 0);
    for (Index j = given; j < block_; ++j)
      for (Index i = 0; i < p_; ++i) first(i, j) = rng.normal();
    used_ = 0;
    extend(first);
    while (used_ < block_) {
      for (Index j = 0; j < block_; ++j)
        for (Index i = 0; i < p_; ++i) first(i, j) = rng.normal();
      extend(first.leftCols(block_ - used_));
    }
    // From a block that knows nothing, a longer way to the first look.
    int depth = given < q_ ? 2 : 0;
    for (int round = 0; round < kMaxRounds; ++round) {
      MatrixXd next = image_.middleCols(used_ - added_, added_);
      for (int d = 0; d < depth && added_ > 0; ++d) {
        extend(next);
        next = image_.middleCols(used_ - added_, added_);
      }
      rayleigh_ritz();
      MatrixXd residual = ritz_image_.leftCols(q_) - ritz_.leftCols(q_) * values_.head(q_).asDiagonal();
      Index open = 0;
      for (Index k = 0; k < q_; ++k)
        if (residual.col(k).norm() > std::max(tol * values_(k), kRounding * values_(0)))
          residual.col(open++) = residual.col(k);
      if (open == 0 || used_ == p_) break;
      if (used_ + 2 * open > capacity_) restart();
      const Index before = used_;
      extend(residual.leftCols(open));
      if (used_ == before) break;  // an invariant space
      depth = used_ + added_ <= capacity_ ? 1 : 0;
    }
    return {values_.head(block_), ritz_.leftCols(block_)};
  }

 private:
  // Orthonormalises the block against the basis and itself, drops what depends on them, and multiplies.
  void extend(MatrixXd block) {
    const VectorXd norms = block.colwise().norm();
    for (int pass = 0; pass < 2; ++pass)
      if (used_ > 0)
        block.noalias() -= basis_.leftCols(used_) * (basis_.leftCols(used_).transpose() * block);
    added_ = 0;
    for (Index j = 0; j < block.cols() && used_ + added_ < capacity_; ++j) {
      auto column = block.col(j);
      for (int pass = 0; pass < 2; ++pass) {
        if (added_ == 0) break;
        const auto known = basis_.middleCols(used_, added_);
        column -= known * (known.transpose() * column);
      }
      const double norm = column.norm();
      if (!(norm > 1e-10 * norms(j))) continue;
      column /= norm;
      // What cancellation has brought back of the basis.
      if (norm < 1e-3 * norms(j) && used_ + added_ > 0) {
        const auto known = basis_.leftCols(used_ + added_);
        column -= known * (known.transpose() * column);
        column.normalize();
      }
      basis_.col(used_ + added_++) = column;
    }
    if (added_ == 0) return;
    image_.middleCols(used_, added_) = apply_(MatrixXd(basis_.middleCols(used_, added_)));
    const Index m = used_ + added_;
    gram_.block(0, used_, m, added_).noalias() = basis_.leftCols(m).transpose() * image_.middleCols(used_, added_);
    gram_.block(used_, 0, added_, used_) = gram_.block(0, used_, used_, added_).transpose();
    used_ = m;
  }

  void rayleigh_ritz() {
    const MatrixXd gram = 0.5 * (gram_.topLeftCorner(used_, used_) + gram_.topLeftCorner(used_, used_).transpose());
    const Eigenpairs pairs = all_eigenpairs(gram);
    values_ = pairs.values.head(block_);
    const auto leading = pairs.vectors.leftCols(block_);
    ritz_.noalias() = basis_.leftCols(used_) * leading;
    ritz_image_.noalias() = image_.leftCols(used_) * leading;
  }

  void restart() {
    basis_.leftCols(block_) = ritz_;
    image_.leftCols(block_) = ritz_image_;
    gram_.topLeftCorner(block_, block_) = values_.asDiagonal();
    used_ = block_;
  }

  static constexpr int kMaxRounds = 200;
  static constexpr double kRounding = 1e-14;

  Index p_, q_, block_, capacity_, used_ = 0, added_ = 0;
  const Apply& apply_;
  MatrixXd basis_, image_, gram_, ritz_, ritz_image_;
  VectorXd values_;
};

// The q leading eigenpairs of a matrix: of small ones, all are found. What comes back of larger ones is the best in a space
// that contains `warm`, so that a criterion that is monotone in the Ritz values never gets worse from one call to the next.
inline Eigenpairs leading_eigenpairs(const MatrixXd& a, Index q, const MatrixXd& warm) {
  constexpr Index kDense = 48;
  constexpr double kTolerance = 1e-8;
  Eigenpairs pairs;
  if (a.rows() <= kDense || 4 * q >= a.rows()) {
    pairs = all_eigenpairs(a);
  } else {
    const auto apply = [&](const MatrixXd& v) -> MatrixXd { return a * v; };
    BlockKrylov<decltype(apply)> solver(a.rows(), q, apply);
    pairs = solver.solve(warm, kTolerance);
  }
  return {pairs.values.head(q), pairs.vectors.leftCols(q)};
}

}  // namespace emkit
