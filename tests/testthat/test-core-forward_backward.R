# The recursions run along strips in the lanes of the vector registers; here they are held to a plain loop over rows.

plain_chain <- function(log_density, initial, transitions, first) {
  n <- nrow(log_density)
  k <- ncol(log_density)
  alpha <- beta <- matrix(0, n, k)
  scale <- shift <- numeric(n)
  last <- c(first[-1], TRUE)
  into <- function(t) if (length(dim(transitions)) == 3) transitions[, , t] else transitions
  density <- matrix(0, n, k)
  for (t in seq_len(n)) {
    predicted <- if (first[t]) initial else as.vector(alpha[t - 1, ] %*% into(t))
    joint <- log(predicted) + log_density[t, ]
    shift[t] <- max(joint)
    scale[t] <- sum(exp(joint - shift[t]))
    alpha[t, ] <- exp(joint - shift[t]) / scale[t]
  }
  log_beta <- matrix(0, n, k)
  for (t in rev(seq_len(n))) {
    if (last[t]) next
    terms <- t(log(into(t + 1))) + log_density[t + 1, ] + log_beta[t + 1, ]
    log_beta[t, ] <- apply(terms, 2, function(v) if (all(v == -Inf)) -Inf else max(v) + log(sum(exp(v - max(v)))))
    log_beta[t, ] <- log_beta[t, ] - max(log_beta[t, ])
  }
  joint <- log(alpha) + log_beta
  posterior <- exp(joint - apply(joint, 1, max))
  list(loglik = sum(log(scale) + shift), alpha = alpha, posterior = posterior / rowSums(posterior))
}

chain_input <- function(y, k, first = 1L, weights = NULL, x = NULL) {
  response <- list(name = "y", family = "gaussian", y = matrix(y), options = list())
  list(
    data = list(responses = list(response), first = as.integer(first) - 1L, n = length(y), known = NULL,
                weights = weights, x_transition = x, x_initial = NULL),
    model = list(n_states = k, transition = list(kind = if (is.null(x)) "homogeneous" else "logit"),
                 initial = list(kind = "free"))
  )
}

sticky <- function(k, stay) {
  p <- matrix((1 - stay) / max(1, k - 1), k, k)
  diag(p) <- stay
  p
}

expect_chain <- function(y, k, means, sds, stay, first = 1L, tolerance = 1e-11) {
  input <- chain_input(y, k, first)
  parameters <- list(initial = (1:k) / sum(1:k), transition = sticky(k, stay), emission = list(rbind(means, sds)))
  density <- vapply(seq_len(k), function(j) ifelse(is.na(y), 0, dnorm(y, means[j], sds[j], log = TRUE)), y)
  expected <- plain_chain(matrix(density, ncol = k), parameters$initial, parameters$transition, seq_along(y) %in% first)
  got <- function(what) hmm_evaluate_(input$data, input$model, parameters, what, 2L)
  expect_equal(got("loglik")$loglik, expected$loglik, tolerance = 1e-12)
  expect_lt(max(abs(got("posterior") - expected$posterior)), tolerance)
  expect_lt(max(abs(got("filtered") - expected$alpha)), tolerance)
}

test_that("any number of states and rows gives what a loop over rows gives", {
  set.seed(1)
  for (k in c(1, 2, 3, 4, 5, 8, 9, 12)) {
    for (n in c(1, 2, 31, 300, 2500)) {
      y <- rnorm(n, 2 * (1 + (seq_len(n) %/% 20) %% k))
      y[runif(n) < 0.05] <- NA
      expect_chain(y, k, 2 * seq_len(k), rep(c(1, 0.7), length.out = k), 0.9)
    }
  }
})

test_that("many sequences of any length, cut by strips anywhere", {
  set.seed(2)
  lengths <- c(rep(1, 40), rep(2, 30), 700, 1, 900, rpois(60, 30) + 1)
  n <- sum(lengths)
  expect_chain(rnorm(n, rep(c(0, 2), length.out = n)), 3, c(-1, 0.5, 2), c(1, 1, 0.8), 0.8,
               first = cumsum(c(1, lengths[-length(lengths)])))
})

test_that("chains that forget slowly or never are exact too", {
  set.seed(3)
  n <- 12000
  y <- rnorm(n, rep(c(0, 0.3), each = 3000, length.out = n))
  expect_chain(y, 2, c(0, 0.3), c(1, 1), 0.9995, tolerance = 1e-10)
  # No way between the states: what the first rows say is remembered to the end.
  input <- chain_input(y, 2)
  parameters <- list(initial = c(0.5, 0.5), transition = diag(2), emission = list(rbind(c(0, 0.01), c(1, 1))))
  ll <- vapply(c(0, 0.01), function(m) sum(dnorm(y, m, 1, log = TRUE)), 0)
  share <- 1 / (1 + exp(ll[2] - ll[1]))
  expect_equal(hmm_evaluate_(input$data, input$model, parameters, "posterior", 1L)[c(1, 6000, n), 1], rep(share, 3),
               tolerance = 1e-9)
})

test_that("rows far out neither underflow nor turn into NaN", {
  set.seed(4)
  y <- rnorm(400)
  y[c(1, 50, 51, 400)] <- c(60, -80, 1e3, 60)
  expect_chain(y, 2, c(0, 1), c(1, 1.5), 0.9)
  # The state that the densities favour by far cannot be reached.
  input <- chain_input(c(0, 0, 60, 0, 60), 3)
  transition <- rbind(c(0.5, 0.5, 0), c(0, 1, 0), c(0, 0, 1))
  parameters <- list(initial = c(1, 0, 0), transition = transition,
                     emission = list(rbind(c(0, 1, 60), c(1, 1, 0.1))))
  density <- vapply(1:3, function(j) dnorm(c(0, 0, 60, 0, 60), c(0, 1, 60)[j], c(1, 1, 0.1)[j], log = TRUE), numeric(5))
  expected <- plain_chain(density, parameters$initial, transition, c(TRUE, rep(FALSE, 4)))
  expect_equal(hmm_evaluate_(input$data, input$model, parameters, "loglik", 1L)$loglik, expected$loglik, tolerance = 1e-12)
  expect_equal(hmm_evaluate_(input$data, input$model, parameters, "posterior", 1L), expected$posterior, tolerance = 1e-9)
})

test_that("every instruction set gives the same, and any number of threads the same bits", {
  on.exit(kernel_set_isa_(utils::tail(kernel_isa_available_(), 1)))
  set.seed(5)
  y <- rnorm(60000, rep(c(0, 2, 4), each = 25, length.out = 60000))
  input <- chain_input(y, 3, first = c(1, 20001, 20500))
  parameters <- list(initial = rep(1 / 3, 3), transition = sticky(3, 0.9), emission = list(rbind(c(0, 2, 4), 1)))
  start <- list(list(kind = "parameters", method = "given", parameters = parameters))
  fit <- function(threads) {
    hmm_fit_(input$data, input$model, start, list(tol = 0, max_iter = 5, accelerator = "none", n_short = 1, n_polish = 1,
                                                  threads = threads, progress = NULL))
  }
  one <- fit(1L)
  expect_identical(fit(2L)[c("loglik", "parameters", "trace_loglik")], one[c("loglik", "parameters", "trace_loglik")])
  for (isa in kernel_isa_available_()) {
    kernel_set_isa_(isa)
    other <- fit(1L)
    expect_equal(other$trace_loglik, one$trace_loglik, tolerance = 1e-12, label = isa)
    expect_equal(other$parameters, one$parameters, tolerance = 1e-9, label = isa)
  }
})

test_that("transitions that differ by row follow the same loop", {
  set.seed(6)
  n <- 3000
  y <- rnorm(n, rep(c(0, 2), each = 40, length.out = n))
  x <- cbind(1, rnorm(n))
  input <- chain_input(y, 2, first = c(1, 1500), x = x)
  coefficients <- array(0, c(2, 2, 2))
  coefficients[, 1, 2] <- c(-2, 0.7)
  coefficients[, 2, 1] <- c(-1.5, -1)
  parameters <- list(initial = c(0.3, 0.7), transition = coefficients, emission = list(rbind(c(0, 2), 1)))
  transitions <- array(0, c(2, 2, n))
  up <- plogis(x %*% c(-2, 0.7))
  down <- plogis(x %*% c(-1.5, -1))
  transitions[1, 1, ] <- 1 - up
  transitions[1, 2, ] <- up
  transitions[2, 1, ] <- down
  transitions[2, 2, ] <- 1 - down
  density <- cbind(dnorm(y, 0, 1, log = TRUE), dnorm(y, 2, 1, log = TRUE))
  expected <- plain_chain(density, c(0.3, 0.7), transitions, seq_len(n) %in% c(1, 1500))
  expect_equal(hmm_evaluate_(input$data, input$model, parameters, "loglik", 1L)$loglik, expected$loglik, tolerance = 1e-12)
  expect_lt(max(abs(hmm_evaluate_(input$data, input$model, parameters, "posterior", 2L) - expected$posterior)), 1e-11)
  expect_equal(hmm_evaluate_(input$data, input$model, parameters, "transition", 1L)[, , 7], transitions[, , 7])
})

test_that("a weight on a sequence is as many copies of it", {
  set.seed(7)
  y <- rnorm(90, rep(c(0, 3), 45))
  first <- c(1, 31, 61)
  weights <- rep(c(1, 3, 2), each = 30)
  copies <- c(y[1:30], rep(y[31:60], 3), rep(y[61:90], 2))
  start <- list(list(kind = "parameters", method = "given", parameters = list(
    initial = c(0.5, 0.5), transition = sticky(2, 0.6), emission = list(rbind(c(0.5, 2), 1)))))
  fit <- function(input) {
    hmm_fit_(input$data, input$model, start, list(tol = 1e-12, max_iter = 500, accelerator = "none", n_short = 1,
                                                  n_polish = 1, threads = 1L, progress = NULL))
  }
  weighted <- fit(chain_input(y, 2, first, weights = weights))
  copied <- fit(chain_input(copies, 2, seq(1, 151, by = 30)))
  expect_equal(weighted$loglik, copied$loglik, tolerance = 1e-11)
  expect_equal(weighted$parameters, copied$parameters, tolerance = 1e-8)
})

test_that("the most probable path is that of a loop over rows, for few and for many states", {
  set.seed(8)
  for (k in c(2, 4, 5, 300)) {
    n <- 120
    y <- rnorm(n, 2 * sample(k, n, TRUE))
    input <- chain_input(y, k, first = c(1, 50))
    means <- 2 * seq_len(k)
    parameters <- list(initial = rep(1 / k, k), transition = sticky(k, 0.6), emission = list(rbind(means, 1)))
    density <- vapply(seq_len(k), function(j) dnorm(y, means[j], 1, log = TRUE), y)
    move <- log(parameters$transition)
    path <- integer(n)
    for (rows in list(1:49, 50:n)) {
      best <- log(parameters$initial) + density[rows[1], ]
      back <- matrix(0L, length(rows), k)
      for (i in seq_along(rows)[-1]) {
        scores <- best + move
        back[i, ] <- max.col(t(scores), "first")
        best <- scores[cbind(back[i, ], seq_len(k))] + density[rows[i], ]
      }
      path[rows[length(rows)]] <- which.max(best)
      for (i in rev(seq_along(rows))[-length(rows)]) path[rows[i - 1]] <- back[i, path[rows[i]]]
    }
    expect_identical(hmm_viterbi_(input$data, input$model, parameters, 1L)$states, path)
  }
})
