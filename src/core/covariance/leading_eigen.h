// The leading eigenpairs of a symmetric matrix, warm-started.
#pragma once
#include "alternation.h"
#include "../math/counter_rng.h"

namespace emkit {

// The q leading eigenvectors of the symmetric positive semidefinite `a` (columns, eigenvalues decreasing). Small matrices
// are decomposed; for larger ones, Rayleigh-Ritz in the block Krylov space of `start` (d x q or empty): what comes back
// is then the best in a space that contains `start`, so that a criterion that is monotone in the Ritz values never gets
// worse from one call to the next.
class LeadingEigen {
 public:
  static void find(const Eigen::Ref<const MatrixXd>& a, Index q, const MatrixXd& start, MatrixXd& vectors,
                   VectorXd& values) {
    const Index d = a.rows();
    if (d <= kDense || kBlocks * q >= d) {
      MatrixXd all;
      VectorXd spectrum;
      decreasing_eigen(a, all, spectrum);
      vectors = all.leftCols(q);
      values = spectrum.head(q);
      return;
    }
    vectors = with_full_rank(start, d, q);
    values = VectorXd::Zero(q);
    const int limit = start.cols() == q ? kWarmRestarts : kColdRestarts;
    for (int restart = 0; restart < limit; ++restart) {
      MatrixXd krylov(d, kBlocks * q);
      krylov.leftCols(q) = vectors;
      for (Index b = 1; b < kBlocks; ++b) {
        krylov.middleCols(b * q, q).noalias() = a * krylov.middleCols((b - 1) * q, q);
        krylov.middleCols(b * q, q).colwise().normalize();
      }
      const MatrixXd basis = orthonormal(krylov);
      const MatrixXd image = a * basis;
      MatrixXd turn;
      VectorXd ritz;
      decreasing_eigen(basis.transpose() * image, turn, ritz);
      const double change = (ritz.head(q) - values).cwiseAbs().maxCoeff();
      vectors = basis * turn.leftCols(q);
      values = ritz.head(q);
      if (change <= kRitzTol * values(0)) break;
    }
  }

 private:
  static MatrixXd orthonormal(const MatrixXd& m) {
    return Eigen::HouseholderQR<MatrixXd>(m).householderQ() * MatrixXd::Identity(m.rows(), m.cols());
  }

  // Columns of zeros, and columns that are not there, become fixed pseudo-random ones.
  static MatrixXd with_full_rank(const MatrixXd& start, Index d, Index q) {
    MatrixXd out(d, q);
    for (Index c = 0; c < q; ++c) {
      if (start.cols() == q && start.col(c).squaredNorm() > 0.0) {
        out.col(c) = start.col(c).normalized();
        continue;
      }
      CounterRng rng(1, static_cast<std::uint64_t>(c));
      for (Index j = 0; j < d; ++j) out(j, c) = rng.normal();
    }
    return orthonormal(out);
  }

  static constexpr Index kDense = 48;
  static constexpr Index kBlocks = 3;
  static constexpr int kWarmRestarts = 3;
  static constexpr int kColdRestarts = 12;
  static constexpr double kRitzTol = 1e-12;
};

}  // namespace emkit
