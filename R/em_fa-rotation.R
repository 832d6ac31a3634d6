# Rotations of loadings. Everywhere: rotated loadings = loadings %*% turn, and the correlation matrix of the rotated
# factors is (turn' turn)^-1, so that the covariance that the factors explain stays the same.

# What a user may give as `rotation`, as list(name, kind, fun (a function of loadings), given (the user's function)).
resolve_rotation <- function(rotation) {
  if (is.function(rotation)) return(list(name = "custom", kind = "function", fun = rotation, given = rotation))
  if (!is.character(rotation) || length(rotation) != 1L || is.na(rotation)) {
    check_fails("rotation", "\"varimax\", \"promax\", \"none\", the name of a function of GPArotation, or a function",
                rotation, "rotation")
  }
  if (rotation %in% c("none", "varimax", "promax")) return(list(name = rotation, kind = rotation))
  if (!requireNamespace("GPArotation", quietly = TRUE)) {
    em_abort(sprintf(paste0("The rotation %s is not one of \"varimax\", \"promax\", \"none\"; those of the package ",
                            "GPArotation can be used once it is installed."), dQuote(rotation, FALSE)), "rotation")
  }
  if (!rotation %in% getNamespaceExports("GPArotation")) {
    em_abort(sprintf("GPArotation has no rotation %s; it has for example \"oblimin\", \"quartimin\" and \"geominQ\".",
                     dQuote(rotation, FALSE)), "rotation")
  }
  list(name = rotation, kind = "GPArotation", fun = getExportedValue("GPArotation", rotation))
}

# The rotation of a fit.
fit_rotation <- function(fit) {
  if (is.null(fit$rotation_function)) resolve_rotation(fit$rotation) else resolve_rotation(fit$rotation_function)
}

# The matrix that turns standardised loadings (p x q). `from`: one near to which it is, to begin there.
rotation_turn <- function(loadings, rotation, from = NULL) {
  q <- ncol(loadings)
  if (q < 2L || rotation$kind == "none") return(diag(q))
  switch(rotation$kind,
    varimax = varimax_turn(loadings, from),
    promax = promax_turn(loadings, from),
    GPArotation = turn_of(loadings, try_rotation(call_gpa(loadings, rotation$fun, from))),
    turn_of(loadings, try_rotation(rotation$fun(loadings)))
  )
}

# An error in somebody's rotation, as one of this package.
try_rotation <- function(code) {
  tryCatch(code, error = function(e) {
    if (inherits(e, "em_error")) stop(e)
    em_abort(paste0("`rotation` failed: ", conditionMessage(e)), "rotation")
  })
}

# Varimax with Kaiser's normalisation: stats' iteration, then planar rotations (Kaiser 1958), whose angles have a closed
# form, until they are below rounding: the derivatives of the rotation need it that exact.
varimax_turn <- function(loadings, from = NULL, sweeps = 200L) {
  p <- nrow(loadings)
  q <- ncol(loadings)
  size <- sqrt(rowSums(loadings^2))
  x <- loadings / ifelse(size > 0, size, 1)
  turn <- if (is.null(from)) stats::varimax(x, normalize = FALSE, eps = 1e-8)$rotmat else from
  x <- x %*% turn
  for (sweep in seq_len(sweeps)) {
    largest <- 0
    for (i in seq_len(q - 1L)) for (j in (i + 1L):q) {
      u <- x[, i]^2 - x[, j]^2
      v <- 2 * x[, i] * x[, j]
      a <- sum(u)
      b <- sum(v)
      angle <- atan2(2 * (sum(u * v) - a * b / p), sum(u^2 - v^2) - (a^2 - b^2) / p) / 4
      if (abs(angle) < 1e-15) next
      plane <- cbind(c(cos(angle), sin(angle)), c(-sin(angle), cos(angle)))
      x[, c(i, j)] <- x[, c(i, j)] %*% plane
      turn[, c(i, j)] <- turn[, c(i, j)] %*% plane
      largest <- max(largest, abs(angle))
    }
    if (largest < 1e-12) break
  }
  turn
}

# Promax of the varimax loadings, power 4 as stats::promax(), columns scaled so that the factors have variance 1.
promax_turn <- function(loadings, from = NULL) {
  first <- varimax_turn(loadings, attr(from, "varimax"))
  x <- loadings %*% first
  u <- qr.coef(qr(x), x * abs(x)^3)
  u <- u %*% diag(sqrt(diag(solve(crossprod(u)))))
  structure(first %*% u, varimax = first)
}

# A function of GPArotation, converged more tightly than by default: standard errors are made of differences of it.
call_gpa <- function(loadings, fun, from = NULL) {
  takes <- names(formals(fun))
  arguments <- list(loadings)
  if (any(c("eps", "...") %in% takes)) arguments <- c(arguments, eps = 1e-9, maxit = 20000L)
  # Its own matrix is the inverse of the transpose of the turn.
  if ("Tmat" %in% takes && !is.null(from)) arguments$Tmat <- t(solve(from))
  do.call(fun, arguments)
}

# The turn between loadings and what a rotation made of them, or an error that says what is wrong.
turn_of <- function(loadings, result) {
  p <- nrow(loadings)
  q <- ncol(loadings)
  rotated <- if (is.list(result)) result$loadings else result
  fails <- function(what) {
    em_abort(paste0("`rotation` must return a rotated matrix of loadings, or a list with one as `loadings`; ", what),
             "rotation")
  }
  if (!is.numeric(rotated) || !is.matrix(rotated)) fails(paste0("it returned ", describe_value(result), "."))
  if (!identical(dim(rotated), dim(loadings))) {
    fails(sprintf("it returned a matrix of dimension %d x %d for %d x %d loadings.", nrow(rotated), ncol(rotated), p,
                  q))
  }
  rotated <- matrix(as.double(rotated), p)
  if (!all(is.finite(rotated))) fails("what it returned is not finite.")
  turn <- qr.coef(qr(loadings), rotated)
  if (anyNA(turn) || max(abs(loadings %*% turn - rotated)) > 1e-6) {
    fails("what it returned is not the loadings times a q x q matrix.")
  }
  correlation <- tryCatch(solve(crossprod(turn)), error = function(e) NULL)
  if (is.null(correlation)) fails("the matrix that it turned them by is singular.")
  if (max(abs(diag(correlation) - 1)) > 1e-5) {
    fails(sprintf("after it the factors must still have variance 1, but that of one is %s.",
                  format(diag(correlation)[which.max(abs(diag(correlation) - 1))], digits = 3)))
  }
  turn
}

# Raw unrotated loadings and uniquenesses as everything that a fit shows: loadings (raw, rotated), standardized,
# uniquenesses (standardised), rotation_matrix, correlation. Factors by explained variance, column sums positive.
finish_loadings <- function(raw, psi, rotation) {
  scale <- sqrt(rowSums(raw^2) + psi)
  standard <- raw / scale
  turn <- rotation_turn(standard, rotation)
  turned <- standard %*% turn
  order <- order(-colSums(turned^2))
  signs <- ifelse(colSums(turned) < 0, -1, 1)
  turn <- sweep(turn[, order, drop = FALSE], 2L, signs[order], "*")
  standard <- standard %*% turn
  list(loadings = raw %*% turn, standardized = standard, uniquenesses = psi / scale^2, rotation_matrix = turn,
       correlation = turn_correlation(turn))
}

# The correlations of turned factors, with ones on the diagonal to the last digit.
turn_correlation <- function(turn) {
  if (max(abs(crossprod(turn) - diag(ncol(turn)))) < 1e-10) return(diag(ncol(turn)))
  correlation <- stats::cov2cor(solve(crossprod(turn)))
  (correlation + t(correlation)) / 2
}

# The loadings of a fit before rotation (raw, p x q).
unrotated_loadings <- function(fit) {
  unname(fit$parameters$loadings %*% solve(fit$rotation_matrix))
}

# TRUE for factors that are correlated.
is_oblique <- function(fit) {
  phi <- fit$factor_correlation
  any(abs(phi[upper.tri(phi)]) > 0)
}
