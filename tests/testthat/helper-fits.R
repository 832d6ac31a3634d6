# Short words for the tests that fit models.

# A control that runs to the end of what doubles can show.
tight_control <- function(...) em_control(tol = 1e-13, max_iter = 1e5, ...)

# Exactly `n` iterations, without the warning that they did not converge.
fit_iterations <- function(n, ..., acceleration = "none", threads = 1) {
  quietly(em_gmm(..., control = em_control(tol = 0, max_iter = n, acceleration = acceleration,
                                           threads = threads)))
}

# Evaluate without the package's own warnings (others stay visible).
quietly <- function(code) {
  withCallingHandlers(code, em_warning = function(w) invokeRestart("muffleWarning"))
}

# expect_equal() for numbers, piece by piece of a list: the largest difference relative to the largest entry of the
# expected piece. Stricter (no averaging) and many times faster than expect_equal(), for the long loops.
expect_close <- function(object, expected, tolerance) {
  label <- paste(deparse(substitute(object)), collapse = " ")
  if (!is.list(object)) object <- list(object)
  if (!is.list(expected)) expected <- list(expected)
  same_shape <- identical(names(object), names(expected)) && identical(lengths(object), lengths(expected))
  difference <- if (!same_shape) Inf else max(mapply(function(a, b) {
    if (length(b) == 0) return(0)
    a <- as.numeric(unlist(a))
    b <- as.numeric(unlist(b))
    if (!identical(is.na(a), is.na(b))) return(Inf)
    max(abs(a - b), na.rm = TRUE) / max(abs(b), .Machine$double.xmin, na.rm = TRUE)
  }, object, expected))
  testthat::expect(difference <= tolerance,
                   sprintf("%s is off by %.3g, relatively; at most %.3g is allowed.", label, difference, tolerance))
  invisible(object)
}

# Longer loops run only when EMKIT_EXTENDED_TESTS is set.
extended_tests <- function() nzchar(Sys.getenv("EMKIT_EXTENDED_TESTS"))
skip_unless_extended <- function() {
  testthat::skip_if_not(extended_tests(), "EMKIT_EXTENDED_TESTS is not set")
}

# --- the problems of the covariance contract --------------------------------------------------------

contract_variants <- c("plain", "weights", "missing", "equal_proportions", "noise", "combined")

# A problem is made once.
contract_problem <- function(code, variant, n_variables) {
  contract_cached(list(code = code, variant = variant), "problem", function() {
    make_contract_problem(code, variant, n_variables)
  })
}

# One problem per structure and variant: data, a start away from the optimum, and the arguments of em_gmm().
# d and K are small enough for the plain-R oracle, large enough for every letter to matter.
make_contract_problem <- function(code, variant, n_variables) {
  d <- if (n_variables == "one") 1 else if (is_factor_code(code)) 4 else 3
  K <- if (d == 1) 2 else 3
  truth <- random_parameters(code, d, K, seed = 7, spread = 3.2)
  n <- 180
  drawn <- simulate_mixture(n, truth, seed = 11)
  x <- drawn$x
  rownames(x) <- paste0("r", seq_len(n))
  # One label in five is wrong: the start is off the optimum by much more than any tolerance.
  label <- replace(drawn$label, seq(1, n, by = 5), rep_len(seq_len(K), ceiling(n / 5)))
  start <- oracle_start(x, indicator(label), if (is_factor_code(code)) "VVV" else code)
  if (is_factor_code(code)) start$covariances <- 1.5 * oracle_factor_covariances(oracle_factors(code, d, K, seed = 40))
  start <- list(proportions = start$proportions, means = start$means,
                covariances = array(as.numeric(start$covariances), c(d, d, K)))
  arguments <- list()
  if (variant == "combined") {
    # Weights, missing values, noise and equal proportions at once.
    arguments$weights <- 0.3 + 2 * abs(sin(seq_len(n + 20)))
    arguments$equal_proportions <- TRUE
    start$proportions <- rep(1, K) / K
  }
  if (variant == "weights") arguments$weights <- 0.3 + 2 * abs(sin(seq_len(n)))
  if (variant == "equal_proportions") {
    arguments$equal_proportions <- TRUE
    start$proportions <- rep(1, K) / K
  }
  if (variant == "missing") x <- punch_holes(x, 0.15, all_missing_rows = c(4, 90), seed = 3)
  if (variant %in% c("noise", "combined")) {
    outliers <- with_seed(5, vapply(seq_len(d), function(j) {
      range <- range(x[, j])
      stats::runif(20, range[1] - 4, range[2] + 4)
    }, numeric(20)))
    x <- rbind(x, outliers)
    rownames(x) <- paste0("r", seq_len(nrow(x)))
    arguments$noise <- TRUE
    start$proportions <- c(0.9 * start$proportions, noise = 0.1)
  }
  if (variant == "combined") x <- punch_holes(x, 0.12, all_missing_rows = 17, seed = 8)
  list(code = code, variant = variant, x = x, d = d, K = K, truth = truth, start = start,
       arguments = arguments)
}

# Fit a problem (with changes) from its start. A uniqueness of zero is an optimum like any other here.
contract_fit <- function(problem, x = problem$x, start = problem$start, control = tight_control(), ...) {
  arguments <- utils::modifyList(problem$arguments, list(...))
  withCallingHandlers(
    do.call(em_gmm, c(list(x, n_components = problem$K, covariance = problem$code, start = start, control = control),
                      arguments)),
    em_warning_heywood = function(w) invokeRestart("muffleWarning")
  )
}

# The fit of a problem to convergence, and after six plain EM steps; each is made once.
contract_cache <- new.env()
contract_cached <- function(problem, what, make) {
  key <- paste(problem$code, problem$variant, what)
  if (is.null(contract_cache[[key]])) contract_cache[[key]] <- make()
  contract_cache[[key]]
}
contract_reference <- function(problem) contract_cached(problem, "converged", function() contract_fit(problem))
contract_six_steps <- function(problem) {
  contract_cached(problem, "six steps", function() {
    quietly(contract_fit(problem, control = em_control(tol = 0, max_iter = 6, acceleration = "none")))
  })
}

# What depends on the path of the algorithm, not on the fit.
hide_path <- function(lines) {
  text <- paste(lines, collapse = "\n")
  text <- sub("(?s)(\n  converged +yes, after ).*?(\n  starts )", "\\1<path>\\2", text, perl = TRUE)
  text <- sub("Converged after [0-9]+ iterations?", "Converged after <n> iterations", text)
  strsplit(text, "\n")[[1]]
}

# Gaussian mixtures for the tests of their methods.
fit_faithful <- function(...) em_gmm(faithful, n_components = 2, covariance = "VVV", ...)

# A mixture with missing values, and a noise component that takes part.
fit_with_noise <- function() {
  x <- rbind(as.matrix(faithful), with_seed(1, cbind(stats::runif(40, 1.5, 5.2), stats::runif(40, 42, 97))))
  x <- punch_holes(x, 0.1, seed = 2)
  em_gmm(x, n_components = 2, covariance = "VVI", noise = TRUE)
}

new_rows <- function() {
  data.frame(waiting = c(50, 80, NA, NA, 400), other = letters[1:5], eruptions = c(2, NA, 4, NA, -30),
             row.names = c("short", "half", "other", "empty", "far"))
}
