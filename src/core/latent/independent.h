// Independent draws of the component: mixing proportions.
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace emkit {

using std::size_t;

struct IndependentOptions {
  bool equal = false;             // equal proportions of the components; a noise component keeps its own
  bool noise = false;             // the last component is noise
  std::vector<double> fixed;      // fixed proportions, NaN where free; empty: all free
};

class Independent {
 public:
  Independent(size_t n_components, IndependentOptions options)
      : options_(std::move(options)),
        proportions_(Eigen::VectorXd::Constant(static_cast<Eigen::Index>(n_components), 1.0 / static_cast<double>(n_components))) {}

  size_t n_components() const { return static_cast<size_t>(proportions_.size()); }
  const Eigen::VectorXd& proportions() const { return proportions_; }
  void set_proportions(const Eigen::VectorXd& p) { proportions_ = p; }

  std::vector<double> log_proportions() const {
    std::vector<double> out(n_components());
    for (size_t k = 0; k < out.size(); ++k) out[k] = std::log(proportions_(static_cast<Eigen::Index>(k)));
    return out;
  }

  // counts: posterior sizes. The maximum subject to what is fixed or equal: free proportions share what is left in
  // proportion to their counts.
  void m_step(const Eigen::VectorXd& counts) {
    const Eigen::Index n = counts.size(), gaussian = options_.noise ? n - 1 : n;
    const double total = counts.sum();
    if (!(total > 0.0)) return;
    if (!options_.fixed.empty()) {
      double held = 0.0, free_count = 0.0;
      for (Eigen::Index k = 0; k < n; ++k) {
        const double f = options_.fixed[static_cast<size_t>(k)];
        if (std::isnan(f))
          free_count += counts(k);
        else
          held += f;
      }
      for (Eigen::Index k = 0; k < n; ++k) {
        const double f = options_.fixed[static_cast<size_t>(k)];
        proportions_(k) = std::isnan(f) ? (1.0 - held) * counts(k) / free_count : f;
      }
      return;
    }
    if (options_.equal) {
      const double noise = options_.noise ? counts(n - 1) / total : 0.0;
      for (Eigen::Index k = 0; k < gaussian; ++k) proportions_(k) = (1.0 - noise) / static_cast<double>(gaussian);
      if (options_.noise) proportions_(n - 1) = noise;
      return;
    }
    proportions_ = counts / total;
  }

 private:
  IndependentOptions options_;
  Eigen::VectorXd proportions_;
};

}  // namespace emkit
