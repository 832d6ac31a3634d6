# em(): a user's own model, against turboEM. What is counted: EM steps (map evaluations), and time beyond the user's
# functions.
say("\nA model of one's own")

repetitions <- if (quick) 3 else 5

# --- overhead -------------------------------------------------------------------------------------
# Functions that do next to nothing but move, in the loop of em() and in one of R.
theta <- list(p = 0.3, mu = c(1, 2))
trivial <- list(
  e_step = function(theta, data) theta,
  m_step = function(stats, data) list(p = stats$p, mu = 1 + 0.999999 * (stats$mu - 1)),
  loglik = function(theta, data) -sum((theta$mu - 1)^2)
)
by_hand <- function(n) {
  function() {
    seconds(for (i in seq_len(n)) {
      l <- trivial$loglik(theta, 1)
      theta <- trivial$m_step(trivial$e_step(theta, 1), 1)
    }) / n
  }
}
by_em <- function(n, acceleration) {
  function() {
    control <- em_control(tol = 0, max_iter = n, acceleration = acceleration)
    seconds(suppressWarnings(em(theta, trivial$e_step, trivial$m_step, trivial$loglik, data = 1, control = control,
                                transform = c(p = "probability", mu = "positive")))) / n
  }
}
n <- if (quick) 5000 else 20000
times <- interleave(list(hand = by_hand(n), none = by_em(n, "none"), auto = by_em(n, "auto")), repetitions)
for (name in c("none", "auto")) {
  overhead <- 1e6 * stats::median(times[, name] - times[, "hand"])
  check(sprintf("overhead per iteration, acceleration %s", name), overhead < 20,
        sprintf("%.1f microseconds, at most 20", overhead))
}

# --- EM steps to the same accuracy ----------------------------------------------------------------
# list(step, loglik, transform, draw a start), all in one numeric vector, as turboEM wants it.
deaths <- c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1)
i <- 0:9
models <- list(
  # turboEM's own example (its help page and vignette)
  "Poisson mixture" = list(
    step = function(p) {
      z <- p[1] * dpois(i, p[2])
      z <- z / (z + (1 - p[1]) * dpois(i, p[3]))
      c(sum(deaths * z) / sum(deaths), sum(deaths * i * z) / sum(deaths * z),
        sum(deaths * i * (1 - z)) / sum(deaths * (1 - z)))
    },
    loglik = function(p) suppressWarnings(sum(deaths * log(p[1] * dpois(i, p[2]) + (1 - p[1]) * dpois(i, p[3])))),
    transform = c("probability", "positive", "positive"), lower = c(0, 0, 0), upper = c(1, 1e4, 1e4),
    draw = function() c(runif(1), runif(2, 0, 4))
  )
)
set.seed(7)
x <- cbind(1, matrix(rnorm(1500), 300))
x[, 3] <- x[, 2] + 0.2 * x[, 3]
positive <- drop(x %*% c(0.5, 1, -1, 0.5, 2, 0)) + rnorm(300) > 0
projection <- solve(crossprod(x), t(x))
models$probit <- list(
  step = function(b) {
    e <- drop(x %*% b)
    drop(projection %*% (e + dnorm(e) / ifelse(positive, pnorm(e), -pnorm(-e))))
  },
  loglik = function(b) sum(pnorm(ifelse(positive, 1, -1) * drop(x %*% b), log.p = TRUE)),
  transform = NULL, lower = rep(-1e3, 6), upper = rep(1e3, 6), draw = function() rnorm(6, 0, 0.5)
)
cauchy <- matrix(rnorm(600), 200) / sqrt(rchisq(200, 1))
models[["location and scales of a multivariate Cauchy"]] <- list(
  step = function(p) {
    w <- 4 / (1 + colSums((t(cauchy) - p[1:3])^2 / p[4:6]))
    m <- colSums(w * cauchy) / sum(w)
    c(m, colMeans(w * (cauchy - rep(m, each = 200))^2))
  },
  loglik = function(p) {
    distance <- colSums((t(cauchy) - p[1:3])^2 / p[4:6])
    suppressWarnings(-100 * sum(log(p[4:6])) - 2 * sum(log1p(distance)))
  },
  transform = rep(c("real", "positive"), each = 3), lower = c(rep(-1e3, 3), rep(0, 3)), upper = rep(1e6, 6),
  draw = function() c(rnorm(3), rexp(3))
)

# EM steps, and log-likelihoods, until the log-likelihood at the result of a step is within 1e-8 of `best`; NA when that
# never happens. Line searches take log-likelihoods where others take steps, so that one count without the other is
# not fair.
counted <- function(model, best, run) {
  steps <- logliks <- 0L
  reached <- c(steps = NA_integer_, logliks = NA_integer_)
  step <- function(p, ...) {
    steps <<- steps + 1L
    q <- model$step(p)
    if (is.na(reached[1]) && isTRUE(model$loglik(q) > best - 1e-8)) {
      reached <<- c(steps = steps, logliks = logliks)
    }
    q
  }
  loglik <- function(p, ...) {
    logliks <<- logliks + 1L
    model$loglik(p)
  }
  run(step, loglik)
  reached
}
ours <- function(model, start, best, acceleration = "auto") {
  counted(model, best, function(step, loglik) {
    suppressWarnings(em(start, update = function(p) step(p), loglik = function(p) loglik(p),
                        transform = model$transform,
                        control = em_control(tol = 1e-15, max_iter = 1e4, acceleration = acceleration)))
  })
}
turbo <- function(model, start, best, method) {
  boundary <- function(p, dr) {
    c(max(pmin((model$lower - p) / dr, (model$upper - p) / dr)),
      min(pmax((model$lower - p) / dr, (model$upper - p) / dr)))
  }
  counted(model, best, function(step, loglik) {
    try(turboEM::turboem(par = start, fixptfn = step, objfn = function(p, ...) -loglik(p), boundary = boundary,
                         method = method, control.run = list(tol = 1e-13, maxiter = 1e4)), silent = TRUE)
  })
}

if (has("turboEM")) {
  suppressPackageStartupMessages(library(turboEM))
  say("turboEM %s; medians over starts, to within 1e-8 of the maximum (in brackets: starts never there)",
      utils::packageVersion("turboEM"))
  for (name in names(models)) {
    model <- models[[name]]
    set.seed(54321)
    starts <- replicate(if (quick) 10 else 30, model$draw(), simplify = FALSE)
    best <- max(vapply(starts[1:5], function(s) {
      suppressWarnings(em(s, update = model$step, loglik = model$loglik, transform = model$transform,
                          control = em_control(tol = 1e-15, max_iter = 1e4)))$loglik
    }, 0))
    methods <- c("em", "squarem", "pem", "decme", "qn")
    counts <- c(
      lapply(c(ours = "auto", "ours, anderson" = "anderson", "ours, squarem" = "squarem"), function(a) {
        vapply(starts, function(s) ours(model, s, best, a), c(steps = 0L, logliks = 0L))
      }),
      lapply(stats::setNames(nm = methods), function(m) {
        suppressWarnings(vapply(starts, function(s) turbo(model, s, best, m), c(steps = 0L, logliks = 0L)))
      })
    )
    median <- vapply(counts, function(k) apply(k, 1, stats::median, na.rm = TRUE), c(steps = 0, logliks = 0))
    never <- vapply(counts, function(k) sum(is.na(k["steps", ])), 0L)
    say("  %s:", name)
    for (method in names(counts)) {
      say("    %-14s %6g steps, %6g log-likelihoods%s", method, median["steps", method], median["logliks", method],
          if (never[[method]] > 0) sprintf(" (%d)", never[[method]]) else "")
    }
    peers <- median["steps", methods]
    least <- names(which.min(peers))
    check(sprintf("%s: EM steps, at most turboEM's least", name),
          median["steps", "ours"] <= min(peers, na.rm = TRUE) && never[["ours"]] == 0,
          sprintf("%g, %s of turboEM %g", median["steps", "ours"], least, peers[[least]]))
    # where a log-likelihood costs as much as a step
    both <- colSums(median)
    least <- names(which.min(both[methods]))
    check(sprintf("%s: with log-likelihoods, by \"anderson\", at most turboEM's least", name),
          both[["ours, anderson"]] <= min(both[methods], na.rm = TRUE),
          sprintf("%g, %s of turboEM %g", both[["ours, anderson"]], least, both[[least]]))
  }
}
