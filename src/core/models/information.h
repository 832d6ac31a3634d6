// The observed information of a model by differences of its exact score.
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <vector>

namespace emkit {

// score(point) -> the gradient of the log-likelihood at `point`, not finite where there is none. `n`: how many
// observations the log-likelihood has, about. Central differences with steps that are a small part of the spread that one
// observation leaves to a coordinate, so that neither units nor n matter.
template <class Score>
Eigen::MatrixXd observed_information(const Eigen::VectorXd& point, double n, const Score& score) {
  constexpr double kShare = 3e-4, kFirst = 1e-4;
  const Eigen::Index q = point.size();
  Eigen::MatrixXd information(q, q);
  for (Eigen::Index i = 0; i < q; ++i) {
    double h = kFirst * (std::abs(point(i)) + 0.01);
    Eigen::VectorXd column;
    for (int round = 0; round < 8; ++round) {
      Eigen::VectorXd up = point, down = point;
      up(i) += h;
      down(i) -= h;
      column = -(score(up) - score(down)) / (up(i) - down(i));
      const double wanted = kShare * std::sqrt(n / column(i));
      if (!column.allFinite() || !(column(i) > 0.0)) {
        // Too far, or a direction in which the likelihood is flat.
        if (round > 4) break;
        h *= 0.01;
        continue;
      }
      if (h < 3.0 * wanted && wanted < 3.0 * h) break;
      // Beyond a few units of the coordinate no spread makes sense: a flat direction.
      if (wanted > 1e3 * (std::abs(point(i)) + 1.0)) break;
      h = wanted;
    }
    information.col(i) = column;
  }
  return 0.5 * (information + information.transpose());
}

// d natural / d coordinates by central differences; natural(point) -> a vector.
template <class Natural>
Eigen::MatrixXd natural_jacobian(const Eigen::VectorXd& point, const Natural& natural) {
  const Eigen::Index q = point.size();
  Eigen::MatrixXd jacobian;
  if (q == 0) jacobian.resize(natural(point).size(), 0);
  for (Eigen::Index i = 0; i < q; ++i) {
    const double h = 1e-5 * (1.0 + std::abs(point(i)));
    Eigen::VectorXd up = point, down = point;
    up(i) += h;
    down(i) -= h;
    const Eigen::VectorXd column = (natural(up) - natural(down)) / (up(i) - down(i));
    if (i == 0) jacobian.resize(column.size(), q);
    jacobian.col(i) = column;
  }
  return jacobian;
}

}  // namespace emkit
