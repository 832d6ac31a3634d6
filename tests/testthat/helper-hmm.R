# Slow, plain-R references for hidden Markov models. They share no code with the package: probabilities are sums over
# all state paths, written out, and long series go through a forward algorithm in the log domain.
#
# Throughout:
#   initial      K probabilities, or K x S: a column for each sequence, in the order in which they first appear
#   transition   K x K, or a list of n such matrices: the one INTO row i (that of a sequence's first row is not used);
#                transition[i, j] = P(next = j | now = i)
#   log_density  n x K: log f_k of row i; 0 where the row observes nothing
#   id           n values; rows of one sequence need not be neighbours, and follow one another in the order of the rows
#   known        NULL, or n integers: the state of the row, NA where it is not known

# --- all state paths --------------------------------------------------------------------------------

# K^n x n: every path of n states.
hmm_paths <- function(K, n) unname(as.matrix(expand.grid(rep(list(seq_len(K)), n))))

# log P(path, observations) of every path of one sequence, or of its first rows when the paths are shorter. `into` is
# a list with the transition into each row.
hmm_path_log_joint <- function(paths, initial, into, log_density, known) {
  total <- log(initial[paths[, 1]]) + log_density[1, paths[, 1]]
  for (t in seq_len(ncol(paths))[-1]) {
    total <- total + log(into[[t]][paths[, c(t - 1, t), drop = FALSE]]) + log_density[t, paths[, t]]
  }
  for (t in which(!is.na(known[seq_len(ncol(paths))]))) total[paths[, t] != known[t]] <- -Inf
  total
}

hmm_log_sum <- function(v) {
  top <- max(v)
  if (top == -Inf) -Inf else top + log(sum(exp(v - top)))
}

hmm_as_list <- function(transition, n) if (is.list(transition)) transition else rep(list(transition), n)

# The column of `initial` for sequence s.
hmm_initial_of <- function(initial, s) if (is.matrix(initial)) initial[, s] else initial

# Everything that follows from the paths of one sequence; see hmm_enumerate().
hmm_enumerate_sequence <- function(initial, into, log_density, known) {
  n <- nrow(log_density)
  K <- ncol(log_density)
  paths <- hmm_paths(K, n)
  joint <- hmm_path_log_joint(paths, initial, into, log_density, known)
  loglik <- hmm_log_sum(joint)
  prob <- exp(joint - loglik)
  share <- function(states, prob) vapply(seq_len(K), function(k) sum(prob[states == k]), 0)
  posterior <- t(apply(paths, 2, share, prob = prob))
  # Filtered: paths of the first t rows. Predicted: of the first t - 1 rows, and one step more that observes nothing.
  filtered <- predicted <- matrix(0, n, K)
  for (t in seq_len(n)) {
    prefix <- hmm_paths(K, t)
    weight <- hmm_path_log_joint(prefix, initial, into, log_density, known)
    filtered[t, ] <- share(prefix[, t], exp(weight - hmm_log_sum(weight)))
    blind_known <- replace(known, t, NA)
    weight <- hmm_path_log_joint(prefix, initial, into, replace(log_density, cbind(t, seq_len(K)), 0), blind_known)
    predicted[t, ] <- share(prefix[, t], exp(weight - hmm_log_sum(weight)))
  }
  # pairs[i, j, t] = P(state t - 1 is i, state t is j | all observations); 0 for the first row.
  pairs <- array(0, c(K, K, n))
  for (t in seq_len(n)[-1]) for (i in seq_len(K)) for (j in seq_len(K)) {
    pairs[i, j, t] <- sum(prob[paths[, t - 1] == i & paths[, t] == j])
  }
  best <- max(joint)
  list(loglik = loglik, posterior = matrix(posterior, n, K), filtered = filtered, predicted = predicted, pairs = pairs,
       paths = paths, prob = prob, log_joint = joint, best_log_prob = best,
       # All paths that share the first place.
       best_paths = paths[joint >= best - 1e-9 * (1 + abs(best)), , drop = FALSE])
}

# list(loglik, loglik_sequence (S), posterior, filtered, predicted (n x K, in the order of the rows; predicted is the
# law of the state given the rows before), expected (K x K expected transitions), viterbi_log_prob (S),
# sequences = list of list(rows, paths, prob, best_paths, pairs, ...)).
hmm_enumerate <- function(initial, transition, log_density, id = rep(1, nrow(log_density)), known = NULL) {
  n <- nrow(log_density)
  K <- ncol(log_density)
  if (is.null(known)) known <- rep(NA, n)
  into <- hmm_as_list(transition, n)
  ids <- unique(id)
  sequences <- lapply(seq_along(ids), function(s) {
    rows <- which(id == ids[s])
    c(list(rows = rows), hmm_enumerate_sequence(hmm_initial_of(initial, s), into[rows],
                                                log_density[rows, , drop = FALSE], known[rows]))
  })
  gather <- function(what) {
    result <- matrix(0, n, K)
    for (sequence in sequences) result[sequence$rows, ] <- sequence[[what]]
    result
  }
  loglik <- vapply(sequences, `[[`, 0, "loglik")
  list(loglik = sum(loglik), loglik_sequence = loglik,
       posterior = gather("posterior"), filtered = gather("filtered"), predicted = gather("predicted"),
       expected = Reduce(`+`, lapply(sequences, function(sequence) apply(sequence$pairs, 1:2, sum))),
       viterbi_log_prob = vapply(sequences, `[[`, 0, "best_log_prob"),
       sequences = sequences)
}

# TRUE when `states` (n, in the order of the rows) is a most probable path of every sequence.
hmm_is_best_path <- function(states, enumeration) {
  all(vapply(enumeration$sequences, function(sequence) {
    any(colSums(t(sequence$best_paths) != as.integer(states[sequence$rows])) == 0)
  }, NA))
}

# The law of the state 1, 2, ..., h rows after the end of one sequence (h x K): `ahead` holds the transition into each
# future row. Paths run through the future, which observes nothing.
hmm_enumerate_forecast <- function(initial, transition, log_density, ahead, known = NULL) {
  n <- nrow(log_density)
  h <- length(ahead)
  K <- ncol(log_density)
  longer <- rbind(log_density, matrix(0, h, K))
  known <- c(if (is.null(known)) rep(NA, n) else known, rep(NA, h))
  enumerated <- hmm_enumerate(initial, c(hmm_as_list(transition, n), ahead), longer, known = known)
  enumerated$posterior[n + seq_len(h), , drop = FALSE]
}

# p-value of the hypothesis that sampled paths (n x n_paths, in the order of the rows) have the posterior law of paths:
# a chi-square test for every sequence, cells of small expectation pooled; the smallest p-value times their number.
hmm_sampling_p_value <- function(sampled, enumeration) {
  p_values <- vapply(enumeration$sequences, function(sequence) {
    K <- max(sequence$paths)
    place <- K^(seq_along(sequence$rows) - 1)
    drawn <- 1 + colSums((sampled[sequence$rows, , drop = FALSE] - 1) * place)
    count <- tabulate(drawn, nrow(sequence$paths))
    expected <- sequence$prob * ncol(sampled)
    if (any(count[expected == 0] > 0)) return(0)
    small <- expected < 5
    pool <- function(v) c(v[!small], if (any(expected[small] > 0)) sum(v[small]))
    count <- pool(count)
    expected <- pool(expected)
    if (length(expected) < 2) return(1)
    stats::pchisq(sum((count - expected)^2 / expected), length(expected) - 1, lower.tail = FALSE)
  }, 0)
  min(1, min(p_values) * length(p_values))
}

# --- laws of covariates -----------------------------------------------------------------------------

# exp(v) / sum(exp(v))
hmm_softmax <- function(v) exp(v - max(v)) / sum(exp(v - max(v)))

# The row before each row in its own sequence, NA for the first of a sequence.
hmm_row_before <- function(id) {
  before <- rep(NA_integer_, length(id))
  for (rows in split(seq_along(id), match(id, unique(id)))) before[rows] <- c(NA, rows[-length(rows)])
  before
}

# The list of transitions INTO each row from coefficients (q x K x K: [coefficient, from, to], 0 for the reference
# category of each row) and the design x (n x q). timing "from": the covariates of the row that is left; "to": of the
# row that is entered.
hmm_logit_transition <- function(x, coefficients, id, timing) {
  K <- dim(coefficients)[2]
  before <- hmm_row_before(id)
  used <- if (timing == "to") seq_along(id) else before
  laws <- lapply(seq_len(K), function(from) {
    e <- exp(x[used, , drop = FALSE] %*% matrix(coefficients[, from, ], ncol = K))
    e / rowSums(e)
  })
  laws <- array(unlist(laws), c(length(id), K, K))  # row, to, from
  lapply(seq_along(id), function(i) if (is.na(before[i])) diag(K) else t(matrix(laws[i, , ], K)))
}

# K x S initial laws from coefficients (q x K, 0 in the first column) at the first row of every sequence.
hmm_logit_initial <- function(x, coefficients, id) {
  first <- match(unique(id), id)
  apply(x[first, , drop = FALSE], 1, function(row) hmm_softmax(drop(row %*% coefficients)))
}

# The law that a transition matrix leaves as it is, by least squares on its definition.
hmm_stationary <- function(transition) {
  K <- nrow(transition)
  qr.solve(rbind(t(diag(K) - transition), 1), c(rep(0, K), 1))
}

# --- predictive laws of the responses ---------------------------------------------------------------

# n x d: the distribution function of each coordinate of a multivariate normal row given the coordinates before it in
# the row and all rows before (Rosenblatt); NA where the coordinate is missing. law: n x K.
hmm_rosenblatt <- function(y, law, mean, covariance) {
  K <- ncol(mean)
  result <- array(NA_real_, dim(y))
  for (i in seq_len(nrow(y))) {
    for (j in which(!is.na(y[i, ]))) {
      o <- setdiff(which(!is.na(y[i, ])), j:ncol(y))
      weight <- log(law[i, ])
      value <- numeric(K)
      for (k in seq_len(K)) {
        S <- covariance[, , k]
        m <- mean[j, k]
        v <- S[j, j]
        if (length(o)) {
          weight[k] <- weight[k] + oracle_log_dnorm(y[i, o, drop = FALSE], mean[o, k], S[o, o, drop = FALSE])
          b <- solve(S[o, o, drop = FALSE], S[o, j])
          m <- m + sum(b * (y[i, o] - mean[o, k]))
          v <- v - sum(b * S[o, j])
        }
        value[k] <- stats::pnorm(y[i, j], m, sqrt(v))
      }
      result[i, j] <- sum(hmm_softmax(weight) * value)
    }
  }
  result
}

# --- long series ------------------------------------------------------------------------------------

# Log-likelihood by the forward recursion on log probabilities.
hmm_forward <- function(initial, transition, log_density, id = rep(1, nrow(log_density))) {
  before <- hmm_row_before(id)
  sequence <- match(id, unique(id))
  log_alpha <- log_density
  each <- is.list(transition)
  P <- transition
  for (i in order(sequence)) {
    if (is.na(before[i])) {
      log_alpha[i, ] <- log_density[i, ] + log(hmm_initial_of(initial, sequence[i]))
    } else {
      if (each) P <- transition[[i]]
      last <- log_alpha[before[i], ]
      top <- max(last)
      log_alpha[i, ] <- log_density[i, ] + (top + log(as.vector(exp(last - top) %*% P)))
    }
  }
  ends <- setdiff(seq_along(id), before)
  sum(vapply(ends, function(i) hmm_log_sum(log_alpha[i, ]), 0))
}

# Forward and backward on log probabilities for one transition matrix:
# list(loglik, posterior n x K, expected K x K, first = K sums of the posteriors of first rows).
hmm_smooth <- function(initial, transition, log_density, id = rep(1, nrow(log_density))) {
  n <- nrow(log_density)
  K <- ncol(log_density)
  posterior <- matrix(0, n, K)
  expected <- matrix(0, K, K)
  first <- numeric(K)
  loglik <- 0
  log_transition <- log(transition)
  sums <- function(M) {
    # log of the sum of exp over the rows of M, for each column.
    top <- apply(M, 2, max)
    top[top == -Inf] <- 0
    top + log(colSums(exp(M - rep(top, each = nrow(M)))))
  }
  for (s in seq_along(unique(id))) {
    rows <- which(id == unique(id)[s])
    m <- length(rows)
    f <- b <- matrix(0, m, K)
    D <- log_density[rows, , drop = FALSE]
    f[1, ] <- log(hmm_initial_of(initial, s)) + D[1, ]
    for (t in seq_len(m)[-1]) f[t, ] <- sums(f[t - 1, ] + log_transition) + D[t, ]
    for (t in rev(seq_len(m))[-1]) b[t, ] <- sums(t(log_transition) + D[t + 1, ] + b[t + 1, ])
    ll <- hmm_log_sum(f[m, ])
    for (t in seq_len(m)[-1]) {
      expected <- expected + exp(f[t - 1, ] + log_transition + rep(D[t, ] + b[t, ] - ll, each = K))
    }
    posterior[rows, ] <- exp(f + b - ll)
    first <- first + posterior[rows[1], ]
    loglik <- loglik + ll
  }
  list(loglik = loglik, posterior = posterior, expected = expected, first = first)
}

# EM by definition (Baum et al. 1970), for one response: log_density(parameters) -> n x K,
# m_step(posterior) -> parameters. Free initial law unless fixed_initial. Stops when the gain is below tol.
hmm_em <- function(initial, transition, parameters, log_density, m_step, id, fixed_initial = FALSE, tol = 1e-12,
                   max_iter = 20000) {
  last <- -Inf
  for (iteration in seq_len(max_iter)) {
    e <- hmm_smooth(initial, transition, log_density(parameters), id)
    if (iteration > 1 && e$loglik < last - 1e-9 * abs(last)) stop("the likelihood fell")
    if (e$loglik - last < tol) break
    last <- e$loglik
    if (!fixed_initial) initial <- e$first / sum(e$first)
    transition <- e$expected / rowSums(e$expected)
    parameters <- m_step(e$posterior)
  }
  list(loglik = e$loglik, initial = initial, transition = transition, parameters = parameters,
       posterior = e$posterior, iterations = iteration)
}

# hmm_em() of one Gaussian, Poisson or categorical (codes 1..C) response from a start of the same shape as the result.
hmm_em_gaussian <- function(y, start, id = rep(1, length(y)), common_sd = FALSE, ...) {
  seen <- !is.na(y)
  hmm_em(start$initial, start$transition, start$emission,
    log_density = function(p) {
      unname(vapply(seq_along(p$mean), function(k) {
        ifelse(seen, stats::dnorm(y, p$mean[k], p$sd[k], log = TRUE), 0)
      }, y))
    },
    m_step = function(z) {
      z <- z[seen, , drop = FALSE]
      mean <- colSums(z * y[seen]) / colSums(z)
      squares <- colSums(z * outer(y[seen], mean, "-")^2)
      sd <- sqrt(if (common_sd) rep(sum(squares) / sum(z), length(mean)) else squares / colSums(z))
      list(mean = mean, sd = sd)
    }, id = id, ...)
}

hmm_em_poisson <- function(y, start, id = rep(1, length(y)), ...) {
  hmm_em(start$initial, start$transition, start$emission,
    log_density = function(p) vapply(p$lambda, function(l) stats::dpois(y, l, log = TRUE), numeric(length(y))),
    m_step = function(z) list(lambda = colSums(z * y) / colSums(z)),
    id = id, ...)
}

hmm_em_categorical <- function(y, start, id = rep(1, length(y)), ...) {
  hmm_em(start$initial, start$transition, start$emission,
    log_density = function(p) log(t(p$prob))[y, , drop = FALSE],
    m_step = function(z) {
      sums <- vapply(seq_len(ncol(start$emission$prob)), function(c) colSums(z[y == c, , drop = FALSE]), z[1, ])
      list(prob = sums / rowSums(sums))
    }, id = id, ...)
}

# --- derivatives ------------------------------------------------------------------------------------

# Gradient and Hessian of f at `at` by central differences, extrapolated twice towards step 0 (Richardson). Steps are in
# `units`, about the standard errors of the coordinates, where the log-likelihood is well scaled: with a step of 1/20
# the remaining error is about 1e-8 and the rounding error about 1e-9.
numerical_gradient <- function(f, at, units = pmax(abs(at), 1) * 0.02, step = 0.05) {
  vapply(seq_along(at), function(i) {
    slope <- function(h) {
      move <- replace(numeric(length(at)), i, h * units[i])
      (f(at + move) - f(at - move)) / (2 * h * units[i])
    }
    richardson(slope, step)
  }, 0)
}

numerical_hessian <- function(f, at, units = pmax(abs(at), 1) * 0.02, step = 0.05) {
  n <- length(at)
  value <- f(at)
  result <- matrix(0, n, n)
  for (i in seq_len(n)) for (j in seq_len(i)) {
    a <- replace(numeric(n), i, units[i])
    b <- replace(numeric(n), j, units[j])
    curvature <- function(h) {
      if (i == j) return((f(at + h * a) - 2 * value + f(at - h * a)) / (h * units[i])^2)
      (f(at + h * (a + b)) - f(at + h * (a - b)) - f(at - h * (a - b)) + f(at - h * (a + b))) /
        (4 * h^2 * units[i] * units[j])
    }
    result[i, j] <- result[j, i] <- richardson(curvature, step)
  }
  result
}

# The limit of g(h) = g0 + a h^2 + b h^4 + ... as h goes to 0.
richardson <- function(g, h) {
  a <- g(h)
  b <- g(h / 2)
  c <- g(h / 4)
  ab <- (4 * b - a) / 3
  bc <- (4 * c - b) / 3
  (16 * bc - ab) / 15
}

# Standard errors of g(theta) (a vector), theta free parameters at the maximum of the log-likelihood f.
numerical_se <- function(f, at, g = identity, units = pmax(abs(at), 1) * 0.02) {
  variance <- solve(-numerical_hessian(f, at, units))
  jacobian <- vapply(seq_along(at), function(i) {
    slope <- function(h) {
      move <- replace(numeric(length(at)), i, h * units[i])
      (g(at + move) - g(at - move)) / (2 * h * units[i])
    }
    richardson(slope, 0.05)
  }, numeric(length(g(at))))
  jacobian <- matrix(jacobian, ncol = length(at))
  sqrt(diag(jacobian %*% variance %*% t(jacobian)))
}

# --- fits at given parameters, and the numbers of a fit -----------------------------------------------

# Evaluates the model at `start` without fitting.
hmm_evaluated <- function(..., start) {
  quietly(em_hmm(..., start = start, control = em_control(max_iter = 0, progress = FALSE)))
}

# A fit to the end of what doubles can show.
hmm_tight <- function(...) em_hmm(..., control = tight_control(progress = FALSE))

# Parameters of an emission list as a matrix with a column for each state.
emission_by_state <- function(emission) {
  if (is.list(emission[[1]])) return(do.call(rbind, lapply(emission, emission_by_state)))
  if (!is.null(dim(emission$prob))) return(t(emission$prob))
  do.call(rbind, lapply(emission, function(p) if (is.null(dim(p))) t(p) else matrix(p, ncol = dim(p)[length(dim(p))])))
}

# order[j]: which of the given states the j-th state of the fit is. A fit orders its states by its own rule.
hmm_state_order <- function(fit, emission) {
  given <- emission_by_state(emission)
  found <- emission_by_state(fit$parameters$emission)
  distance <- apply(found, 2, function(v) colSums(abs(given - v)))
  order <- apply(matrix(distance, ncol(given)), 2, which.min)
  stopifnot(!anyDuplicated(order), max(abs(given[, order] - found)) < 1e-8 * max(abs(given)))
  order
}

# Standard errors of a fit by the names that the references have: from_1 is the probability to leave the first of two
# states, sd one that all states share.
hmm_se <- function(fit, what) {
  mean_1 <- function(name) sub("_([0-9]+)$", "[\\1]", name)
  several <- length(fit$responses) > 1
  name <- ifelse(grepl("^from_1", what), "transition[1,2]",
          ifelse(grepl("^from_2", what), "transition[2,1]",
          ifelse(what == "sd", "sd[1]",
          ifelse(grepl("^correct", what), sub("correct_([0-9])", "corr.prob[\\1,cor]", what),
                 paste0(if (several) "rt.", mean_1(what))))))
  stats::setNames(sqrt(diag(vcov(fit))[name]), what)
}

# --- data -------------------------------------------------------------------------------------------

hmm_data <- local({
  made <- NULL
  function(name) {
    if (is.null(made)) {
      series <- new.env()
      sys.source(test_fixture("hmm-data.R"), series)
      made <<- c(readRDS(test_fixture("hmm-depmix.rds")), list(
        quakes = data.frame(count = series$hmm_quakes), lamb = data.frame(count = series$hmm_lamb),
        fedfunds = data.frame(rate = series$hmm_fedfunds)))
    }
    made[[name]]
  }
})
hmm_reference_values <- function() {
  where <- new.env()
  sys.source(test_fixture("hmm-reference.R"), where)
  where$hmm_reference
}
