// Responses whose parameters are the probabilities of C categories in each component: C x K, columns that sum to 1.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "newton.h"

namespace emkit {

// Constraints: entries may be fixed (the others share what is left), or the whole column be one for all components.
//
// Coordinates are log(p_c / p_r) of the free categories but one, the reference r, between -kCoordinateBound, where
// p = 0 lies, and kCoordinateBound. The reference is the category with most rows, and another where that has vanished.
// Accelerators get square roots of probabilities, in which 0 is a place like others.
class ProbabilityResponse : public Response {
 public:
  size_t n_components() const final { return static_cast<size_t>(natural_.cols()); }
  size_t n_parameters() const final { return static_cast<size_t>(natural_.rows()); }
  Eigen::MatrixXd parameters() const final { return natural_; }
  bool m_step_is_exact() const final { return true; }
  Degeneracy degeneracy() const final { return degeneracy_; }

  bool set_parameters(const Eigen::MatrixXd& natural) final {
    if (natural.rows() != natural_.rows() || natural.cols() != natural_.cols()) return invalid(0);
    for (Eigen::Index k = 0; k < natural.cols(); ++k)
      if (!natural.col(k).allFinite() || natural.col(k).minCoeff() < 0.0) return invalid(static_cast<size_t>(k));
    Eigen::MatrixXd to = natural;
    for (const Group& g : groups_) {
      Eigen::VectorXd p = to.col(g.first);
      if (g.count > 1 && (to.colwise() - p).cwiseAbs().maxCoeff() > 0.0) p = to.rowwise().mean();
      Eigen::VectorXd free(static_cast<Eigen::Index>(g.free.size()));
      for (size_t c = 0; c < g.free.size(); ++c) free(static_cast<Eigen::Index>(c)) = p(g.free[c]);
      if (!g.free.empty()) {
        const double sum = free.sum();
        if (!(sum > 0.0) && g.mass > 0.0) return invalid(static_cast<size_t>(g.first));
        if (std::abs(sum - g.mass) > 1e-12) free *= g.mass / sum;
      }
      put(g, free, to);
    }
    natural_ = to;
    choose_references();
    return true;
  }

  size_t n_coordinates() const final {
    size_t n = 0;
    for (const Group& g : groups_) n += g.n_coordinates();
    return n;
  }

  bool coordinates(double* point) const final {
    for (const Group& g : groups_) {
      if (g.n_coordinates() == 0) continue;
      const double reference = natural_(g.free[g.reference], g.first);
      for (size_t c = 0; c < g.free.size(); ++c)
        if (c != g.reference) {
          const double ratio = std::log(natural_(g.free[c], g.first)) - std::log(reference);
          *point++ = std::min(std::max(ratio, -kCoordinateBound), kCoordinateBound);
        }
    }
    return true;
  }

  bool set_coordinates(const double* point) final {
    if (!std::all_of(point, point + n_coordinates(), [](double v) { return std::isfinite(v); })) return invalid(0);
    for (const Group& g : groups_) {
      if (g.n_coordinates() == 0) continue;
      Eigen::VectorXd p(static_cast<Eigen::Index>(g.free.size()));
      for (size_t c = 0; c < g.free.size(); ++c) {
        const double eta = c == g.reference ? 0.0 : std::min(std::max(*point++, -kCoordinateBound), kCoordinateBound);
        p(static_cast<Eigen::Index>(c)) = std::exp(eta);
      }
      p *= g.mass / p.sum();
      put(g, p, natural_);
    }
    return true;
  }

  size_t n_packed() const final {
    size_t n = 0;
    for (const Group& g : groups_) n += g.n_coordinates() > 0 ? g.free.size() : 0;
    return n;
  }

  bool pack(double* point) const final {
    for (const Group& g : groups_)
      if (g.n_coordinates() > 0)
        for (const Eigen::Index c : g.free) *point++ = std::sqrt(natural_(c, g.first));
    return true;
  }

  bool unpack(const double* point) final {
    Eigen::MatrixXd to = natural_;
    for (const Group& g : groups_) {
      if (g.n_coordinates() == 0) continue;
      Eigen::VectorXd p(static_cast<Eigen::Index>(g.free.size()));
      for (Eigen::Index c = 0; c < p.size(); ++c, ++point) p(c) = *point * *point;
      const double sum = p.sum();
      if (!(sum > 0.0) || !std::isfinite(sum)) return invalid(static_cast<size_t>(g.first));
      p *= g.mass / sum;
      put(g, p, to);
    }
    natural_ = to;
    choose_references();
    return true;
  }

 protected:
  // `totals`: the categories' counts over all rows.
  ProbabilityResponse(const Eigen::VectorXd& totals, size_t n_components, const ResponseOptions& options)
      : natural_(Eigen::MatrixXd::Zero(totals.size(), static_cast<Eigen::Index>(n_components))),
        totals_(totals) {
    const bool shared = std::any_of(options.shared.begin(), options.shared.end(), [](bool s) { return s; });
    const Eigen::Index K = natural_.cols(), n_groups = shared ? 1 : K;
    for (Eigen::Index at = 0; at < n_groups; ++at) {
      Group g;
      g.first = at;
      g.count = shared ? K : 1;
      for (Eigen::Index c = 0; c < totals.size(); ++c) {
        double held = std::numeric_limits<double>::quiet_NaN();
        for (Eigen::Index k = at; options.fixed.size() > 0 && k < at + g.count; ++k)
          if (!std::isnan(options.fixed(c, k))) held = options.fixed(c, k);
        if (std::isnan(held)) {
          if (g.free.empty() || totals(c) > totals(g.free[g.reference])) g.reference = g.free.size();
          g.free.push_back(c);
        } else {
          natural_.row(c).segment(at, g.count).setConstant(held);
          g.mass -= held;
        }
      }
      g.mass = std::max(g.mass, 0.0);
      const Eigen::Index n_free = static_cast<Eigen::Index>(g.free.size());
      put(g, Eigen::VectorXd::Constant(n_free, n_free > 0 ? g.mass / static_cast<double>(n_free) : 0.0), natural_);
      groups_.push_back(g);
    }
    set_overall_probabilities();
  }

  // The same in every component: the shares of all rows, where nothing is fixed.
  void set_overall_probabilities() { probabilities_from(totals_.replicate(1, natural_.cols())); }

  // From the categories' weights (C x K).
  bool m_step_from(const Eigen::MatrixXd& counts) {
    if (!counts.allFinite()) return invalid(0);
    probabilities_from(counts);
    return true;
  }

  void score_from(const Eigen::MatrixXd& counts, double* gradient) const {
    for (const Group& g : groups_) {
      if (g.n_coordinates() == 0) continue;
      const Eigen::VectorXd n = counts_of(g, counts);
      const double total = n.sum();
      for (size_t c = 0; c < g.free.size(); ++c)
        if (c != g.reference)
          *gradient++ = n(static_cast<Eigen::Index>(c)) - total * natural_(g.free[c], g.first) / g.mass;
    }
  }

  Eigen::MatrixXd natural_;  // C x K

 private:
  // The components first .. first + count - 1 have the same probabilities.
  struct Group {
    Eigen::Index first = 0, count = 1;
    std::vector<Eigen::Index> free;  // categories
    size_t reference = 0;            // one of them
    double mass = 1.0;               // what they sum to
    size_t n_coordinates() const { return free.size() > 1 && mass > 0.0 ? free.size() - 1 : 0; }
  };

  bool invalid(size_t component) {
    degeneracy_.kind = Degeneracy::Kind::kNotFinite;
    degeneracy_.component = component;
    return false;
  }

  Eigen::VectorXd counts_of(const Group& g, const Eigen::MatrixXd& counts) const {
    Eigen::VectorXd n(static_cast<Eigen::Index>(g.free.size()));
    for (size_t c = 0; c < g.free.size(); ++c)
      n(static_cast<Eigen::Index>(c)) = counts.row(g.free[c]).segment(g.first, g.count).sum();
    return n;
  }

  void probabilities_from(const Eigen::MatrixXd& counts) {
    for (const Group& g : groups_) {
      if (g.free.empty()) continue;
      const Eigen::VectorXd n = counts_of(g, counts);
      if (n.sum() > kVanishedWeight) put(g, n * (g.mass / n.sum()), natural_);
    }
    choose_references();
  }

  // Writes the free categories' probabilities; the fixed ones are those of natural_.
  void put(const Group& g, const Eigen::VectorXd& free, Eigen::MatrixXd& to) const {
    for (Eigen::Index k = g.first; k < g.first + g.count; ++k) {
      to.col(k) = natural_.col(k);
      for (size_t c = 0; c < g.free.size(); ++c) to(g.free[c], k) = free(static_cast<Eigen::Index>(c));
    }
  }

  void choose_references() {
    for (Group& g : groups_) {
      if (g.free.empty() || natural_(g.free[g.reference], g.first) > 1e-8) continue;
      for (size_t c = 0; c < g.free.size(); ++c)
        if (natural_(g.free[c], g.first) > natural_(g.free[g.reference], g.first)) g.reference = c;
    }
  }

  const Eigen::VectorXd totals_;
  std::vector<Group> groups_;
  Degeneracy degeneracy_;
};

}  // namespace emkit
