# Models for em() that textbooks treat, each a list of arguments.

em_model_linkage <- function() {
  list(
    start = list(t = 0.5), e_step = function(theta, y) y[1] * theta$t / (2 + theta$t),
    m_step = function(x, y) list(t = (x + y[4]) / (x + y[2] + y[3] + y[4])),
    loglik = function(theta, y) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t) / 4)),
    data = c(125, 18, 20, 34), transform = "probability"
  )
}

# Two kinds of days; the E-step gives the log-likelihood.
em_model_deaths <- function() {
  list(
    start = list(p = 0.5, mu = c(1, 3)),
    e_step = function(theta, data) {
      density <- cbind(theta$p * stats::dpois(data$number, theta$mu[1]),
                       (1 - theta$p) * stats::dpois(data$number, theta$mu[2]))
      structure(density[, 1] / rowSums(density), loglik = sum(data$days * log(rowSums(density))))
    },
    m_step = function(z, data) {
      n <- c(sum(data$days * z), sum(data$days * (1 - z)))
      list(p = n[1] / sum(n), mu = c(sum(data$days * z * data$number), sum(data$days * (1 - z) * data$number)) / n)
    },
    data = data.frame(number = 0:9, days = c(162, 267, 271, 185, 111, 61, 27, 8, 3, 1)),
    transform = c(p = "probability", mu = "positive")
  )
}

# The same, with the log-likelihood in a function of its own.
em_model_deaths_apart <- function() {
  model <- em_model_deaths()
  e_step <- model$e_step
  model$e_step <- function(theta, data) as.vector(e_step(theta, data))
  model$loglik <- function(theta, data) attr(e_step(theta, data), "loglik")
  model
}

# Gene counting for the ABO blood groups.
em_model_abo <- function() {
  list(
    start = list(genes = c(A = 1, B = 1, O = 1) / 3),
    e_step = function(theta, n) {
      p <- theta$genes
      aa <- n[["A"]] * p[["A"]] / (p[["A"]] + 2 * p[["O"]])
      bb <- n[["B"]] * p[["B"]] / (p[["B"]] + 2 * p[["O"]])
      c(AA = aa, AO = n[["A"]] - aa, BB = bb, BO = n[["B"]] - bb, AB = n[["AB"]], OO = n[["O"]])
    },
    m_step = function(x, n) {
      genes <- c(A = 2 * x[["AA"]] + x[["AO"]] + x[["AB"]], B = 2 * x[["BB"]] + x[["BO"]] + x[["AB"]],
                 O = x[["AO"]] + x[["BO"]] + 2 * x[["OO"]])
      list(genes = genes / sum(genes))
    },
    loglik = function(theta, n) abo_loglik(theta$genes, n),
    data = c(A = 186, B = 38, AB = 13, O = 284), transform = c(genes = "simplex"), n_obs = 521
  )
}

abo_loglik <- function(p, n) {
  n[["A"]] * log(p[1]^2 + 2 * p[1] * p[3]) + n[["B"]] * log(p[2]^2 + 2 * p[2] * p[3]) +
    n[["AB"]] * log(2 * p[1] * p[2]) + 2 * n[["O"]] * log(p[3])
}

# Two normal components in the plane: simplex and covariances; the E-step gives the log-likelihood.
em_model_plane <- function() {
  x <- with_seed(2,
                 rbind(matrix(stats::rnorm(200), 100), matrix(stats::rnorm(100, 3), 50) %*% matrix(c(1, 0.5, 0, 1), 2)))
  list(
    start = list(p = c(0.5, 0.5), mu = rbind(c(0, 0), c(2, 2)), sigma = array(diag(2), c(2, 2, 2))),
    e_step = function(theta, x) {
      d <- sapply(1:2, function(k) {
        root <- chol(theta$sigma[, , k])
        z <- backsolve(root, t(x) - theta$mu[k, ], transpose = TRUE)
        theta$p[k] * exp(-colSums(z^2) / 2) / (2 * pi * prod(diag(root)))
      })
      structure(d / rowSums(d), loglik = sum(log(rowSums(d))))
    },
    m_step = function(z, x) {
      n <- colSums(z)
      mu <- crossprod(z, x) / n
      sigma <- vapply(1:2, function(k) {
        centred <- x - rep(mu[k, ], each = nrow(x))
        crossprod(centred * sqrt(z[, k])) / n[k]
      }, diag(2))
      attr(n, "names") <- NULL
      list(p = n / sum(n), mu = unname(mu), sigma = sigma)
    },
    data = x, transform = list(p = "simplex", sigma = "covariance")
  )
}

em_fit_of <- function(model, ..., control = em_control(tol = 1e-14)) {
  changes <- list(...)
  model[names(changes)] <- changes
  do.call(em, c(model, list(control = control)))
}
