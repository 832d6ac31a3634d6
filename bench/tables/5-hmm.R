# Hidden Markov models: time per EM iteration, Viterbi and memory, against depmixS4 and HiddenMarkov.
say("\nHidden Markov models, fixed start, time per iteration")

repetitions <- if (quick) 3 else 5

# A chain of K states with means 2 apart, sd 1, that stays with probability 0.9.
simulate_chain <- function(n, K, seed = 1) {
  set.seed(seed)
  moves <- stats::rbinom(n, 1, 0.1) * sample.int(K - 1, n, TRUE)
  state <- cumsum(moves) %% K + 1
  transition <- matrix(0.1 / (K - 1), K, K)
  diag(transition) <- 0.9
  list(y = stats::rnorm(n, 2 * state), state = state, n = n, K = K,
       start = list(initial = rep(1 / K, K), transition = transition, emission = list(mean = 2 * seq_len(K) + 0.3,
                                                                                      sd = rep(1.2, K))))
}

hmm_control <- function(iterations, threads) {
  em_control(tol = 0, max_iter = iterations, acceleration = "none", threads = threads, keep_posterior = FALSE)
}
our_chain <- function(threads, more, ...) {
  function() {
    per_iteration(function(iterations) suppressWarnings(em_hmm(..., control = hmm_control(iterations, threads))), more)
  }
}

with_depmix <- has("depmixS4")
with_hidden <- has("HiddenMarkov")
depmix_iterations <- function(model, more) {
  function() {
    per_iteration(function(iterations) {
      control <- depmixS4::em.control(maxit = iterations, tol = 1e-300, random.start = FALSE)
      utils::capture.output(suppressWarnings(depmixS4::fit(model, emcontrol = control, verbose = FALSE)))
    }, more)
  }
}

# --- one Gaussian response -----------------------------------------------------------------------
d <- simulate_chain(2e5, 3)
frame <- data.frame(y = d$y)
contenders <- list(one = our_chain(1, 200, y ~ 1, data = frame, n_states = 3, start = d$start),
                   two = our_chain(2, 200, y ~ 1, data = frame, n_states = 3, start = d$start))
if (with_depmix) {
  model <- depmixS4::depmix(y ~ 1, data = frame, nstates = 3, respstart = c(rbind(d$start$emission$mean, 1.2)),
                            trstart = c(t(d$start$transition)), instart = d$start$initial)
  contenders$depmix <- depmix_iterations(model, 20)
}
if (with_hidden) {
  chain <- HiddenMarkov::dthmm(d$y, d$start$transition, d$start$initial, "norm", d$start$emission)
  contenders$hidden <- function() {
    per_iteration(function(iterations) {
      HiddenMarkov::BaumWelch(chain, HiddenMarkov::bwcontrol(maxiter = iterations, tol = 1e-300, prt = FALSE,
                                                             posdiff = FALSE))
    }, 10)
  }
}
times <- interleave(contenders, repetitions)
label <- "Gaussian, T = 2e5, K = 3, 1 thread"
if (with_depmix) compare(label, times[, "one"], times[, "depmix"], "depmixS4", 50)
if (with_hidden) compare(label, times[, "one"], times[, "hidden"], "HiddenMarkov", 12)
compare("the same on 2 threads", times[, "two"], times[, "one"], "1 thread", 1.6)

limits <- c(`2` = 12, `4` = 22, `8` = 50)
if (emkit:::kernel_isa_() != "portable") {
  chains <- lapply(names(limits), function(K) simulate_chain(2e5, as.integer(K)))
  contenders <- lapply(chains, function(d) our_chain(1, 200, d$y, n_states = d$K, start = d$start))
  times <- interleave(stats::setNames(contenders, names(limits)), repetitions)
  for (K in names(limits)) {
    ns <- stats::median(times[, K]) / 2e5 * 1e9
    check(sprintf("Gaussian, K = %s, 1 thread", K), ns <= limits[[K]],
          sprintf("%.1f ns per time step and iteration, at most %g", ns, limits[[K]]))
  }
}

# --- Poisson with a covariate on the transitions -------------------------------------------------
set.seed(2)
frame <- data.frame(y = stats::rpois(d$n, c(2, 6, 14)[d$state]), x = stats::rnorm(d$n))
coefficients <- array(0, c(2, 3, 3))
for (i in 1:3) for (j in setdiff(1:3, i)) coefficients[1, i, j] <- log(0.05 / 0.9)
contenders <- list(one = our_chain(1, 30, y ~ 1, data = frame, n_states = 3, family = "poisson", transition = ~ x,
                                   start = list(initial = rep(1 / 3, 3), transition = coefficients,
                                                emission = list(lambda = c(2.5, 5, 13)))))
if (with_depmix) {
  model <- depmixS4::depmix(y ~ 1, data = frame, nstates = 3, family = stats::poisson(), transition = ~ x,
                            respstart = log(c(2.5, 5, 13)))
  contenders$depmix <- depmix_iterations(model, 2)
}
times <- interleave(contenders, if (quick) 1 else 3)
if (with_depmix) {
  compare("Poisson, covariate on transitions, T = 2e5, K = 3", times[, "one"], times[, "depmix"], "depmixS4", 50)
}

# --- many sequences of three correlated responses ------------------------------------------------
chain <- simulate_chain(2e5, 4, seed = 3)
y <- matrix(stats::rnorm(3 * chain$n), chain$n) %*% chol(diag(3) + 0.5) + 2 * chain$state
colnames(y) <- c("y1", "y2", "y3")
frame <- data.frame(y)
start <- list(initial = chain$start$initial, transition = chain$start$transition,
              emission = list(mean = matrix(rep(chain$start$emission$mean, each = 3), 3),
                              covariance = array(diag(3) * 1.5, c(3, 3, 4))))
lengths <- rep(100, 2000)
contenders <- list(two = our_chain(2, 50, cbind(y1, y2, y3) ~ 1, data = frame, n_states = 4, family = "mvgaussian",
                                   ntimes = lengths, start = start))
if (with_depmix) {
  suppressPackageStartupMessages(library(depmixS4))
  responses <- lapply(1:4, function(k) {
    list(MVNresponse(cbind(y1, y2, y3) ~ 1, data = frame, pstart = c(start$emission$mean[, k], 1.5, 0, 0, 1.5, 0, 1.5)))
  })
  rows <- lapply(1:4, function(k) transInit(~ 1, nstates = 4, data = data.frame(1), pstart = start$transition[k, ]))
  prior <- transInit(~ 1, nstates = 4, data = data.frame(rep(1, 2000)), pstart = start$initial, family = multinomial("identity"))
  contenders$depmix <- depmix_iterations(makeDepmix(response = responses, transition = rows, prior = prior,
                                                    ntimes = lengths, homogeneous = TRUE), 30)
}
times <- interleave(contenders, if (quick) 1 else 3)
if (with_depmix) {
  compare("2000 x 100, mvgaussian d = 3, K = 4, 2 threads", times[, "two"], times[, "depmix"], "depmixS4", 80)
}

# --- Viterbi -------------------------------------------------------------------------------------
d <- simulate_chain(1e6, 4)
frame <- data.frame(y = d$y)
fit <- suppressWarnings(em_hmm(y ~ 1, data = frame, n_states = 4, start = d$start, control = hmm_control(1, 2)))
# As new data: the fit holds the path of its own.
contenders <- list(ours = function() seconds(predict(fit, frame, type = "viterbi")))
if (with_depmix) {
  model <- depmixS4::depmix(y ~ 1, data = frame, nstates = 4,
                            respstart = c(rbind(d$start$emission$mean, 1.2)), trstart = c(t(d$start$transition)))
  contenders$depmix <- function() seconds(depmixS4::viterbi(model))
}
times <- interleave(contenders, if (quick) 1 else 2)
if (with_depmix) compare("Viterbi, T = 1e6, K = 4", times[, "ours"], times[, "depmix"], "depmixS4", 100)

# --- memory --------------------------------------------------------------------------------------
check_memory(
  "T = 1e7, K = 3, 20 iterations, peak memory", limit = 3, megabytes = 80,
  warm_up = "em_hmm(faithful$eruptions, n_states = 2)",
  data = c("y <- numeric(1e7)",
           "for (b in split(seq_along(y), ceiling(seq_along(y) / 1e6))) y[b] <- rnorm(length(b)) + 3 * (b %/% 50 %% 3)"),
  fit = "em_hmm(y, n_states = 3, control = em_control(tol = 0, max_iter = 20))"
)
