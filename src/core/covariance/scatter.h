// Sets of symmetric matrices, one per component: what goes into the M-step of a covariance structure and what comes out.
#pragma once
#include <Eigen/Dense>
#include <cstddef>
#include <vector>

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// `count` symmetric d x d matrices. Diagonal ones are stored by their diagonals (d x count), others side by side
// (d x (d count)).
struct SymmetricSet {
  Index d = 0;
  Index count = 0;
  bool diagonal = false;
  MatrixXd values;

  SymmetricSet() = default;
  SymmetricSet(Index d_, Index count_, bool diagonal_)
      : d(d_), count(count_), diagonal(diagonal_), values(MatrixXd::Zero(d_, diagonal_ ? count_ : d_ * count_)) {}

  Eigen::Block<MatrixXd> matrix(Index k) { return values.block(0, k * d, d, d); }
  Eigen::Block<const MatrixXd> matrix(Index k) const { return values.block(0, k * d, d, d); }

  VectorXd variances(Index k) const {
    if (diagonal) return values.col(k);
    return matrix(k).diagonal();
  }
  double trace(Index k) const { return diagonal ? values.col(k).sum() : matrix(k).diagonal().sum(); }

  MatrixXd dense(Index k) const {
    if (!diagonal) return matrix(k);
    return values.col(k).asDiagonal();
  }
};

// The expected scatter W_k of each component about its mean and the number of observations n_k behind it. The M-step of
// a structure maximises sum_k -n_k/2 log|Sigma_k| - tr(Sigma_k^-1 W_k) / 2 over the structure. A conjugate prior adds to
// n_k and W_k and changes nothing else. For a pooled structure there is one entry, the sum over the components.
struct Scatter {
  SymmetricSet scatter;
  VectorXd n;

  Index d() const { return scatter.d; }
  Index n_components() const { return scatter.count; }
  double total() const { return n.sum(); }
};

}  // namespace emkit
