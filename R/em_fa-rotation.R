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
    em_abort(sprintf("GPArotation has no rotation %s; it has %s.", dQuote(rotation, FALSE),
                     abbreviate_list(dQuote(gpa_rotations(), FALSE), 40L)), "rotation")
  }
  if (!rotation %in% gpa_rotations()) {
    em_abort(sprintf(paste0("%s of GPArotation does not rotate loadings alone, to factors of variance 1. Give a ",
                            "function, such as function(L) GPArotation::%s(L, ...)."), dQuote(rotation, FALSE),
                     rotation), "rotation")
  }
  list(name = rotation, kind = "GPArotation", fun = getExportedValue("GPArotation", rotation))
}

# Names of the functions of GPArotation that need nothing but loadings: those that minimise a criterion from a matrix
# `Tmat`, and echelon, which has a closed form.
gpa_rotations <- function() {
  names <- sort(getNamespaceExports("GPArotation"))
  minimises <- vapply(names, function(name) {
    takes <- names(formals(getExportedValue("GPArotation", name)))
    all(c("L", "Tmat", "eps", "maxit") %in% takes) && !any(c("Target", "W") %in% takes)
  }, NA)
  c(names[minimises], intersect("echelon", names))
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
    GPArotation = gpa_turn(loadings, rotation, from),
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

# A rotation of GPArotation. Its gradient projection stalls far above rounding, and standard errors are made of
# differences, so that Newton steps on the gradient of the criterion, which it returns, end it. `from`: a result of this
# function for similar loadings, to begin from; its attribute "inverse" is that of the second derivatives.
gpa_turn <- function(loadings, rotation, from = NULL) {
  fun <- rotation$fun
  if (!"Tmat" %in% names(formals(fun))) return(turn_of(loadings, try_rotation(suppressWarnings(fun(loadings)))))
  start <- list()
  if (!is.null(from)) {
    oblique <- attr(from, "oblique")
    turn <- newton_turn(loadings, fun, from, oblique, attr(from, "inverse"))
    if (max(abs(gpa_gradient(loadings, turn, fun, oblique))) < 1e-8) return(turn)
    start$Tmat <- gpa_matrix(from, oblique)
  }
  # What it says of its convergence is found out below.
  found <- try_rotation(suppressWarnings(do.call(fun, c(list(loadings), start, eps = 1e-6, maxit = 1000L))))
  if (is.matrix(found$Th) && rcond(found$Th) < 1e-4) {
    em_abort(sprintf(paste0("The rotation %s lets factors coincide (a correlation of 1) and has no solution for these ",
                            "loadings. Use another one, such as \"oblimin\"."), dQuote(rotation$name, FALSE)),
             "rotation")
  }
  turn <- turn_of(loadings, found)
  oblique <- !isTRUE(found$orthogonal)
  second <- gpa_inverse(loadings, turn, fun, oblique)
  if (second$lowest >= -1e-6) turn <- newton_turn(loadings, fun, turn, oblique, second$inverse)
  second <- gpa_inverse(loadings, turn, fun, oblique)
  if (is.null(from)) warn_gpa(second, gpa_gradient(loadings, turn, fun, oblique), dQuote(rotation$name, FALSE))
  structure(turn, oblique = oblique, inverse = second$inverse)
}

# What is left where a rotation ended, and what its criterion leaves open.
warn_gpa <- function(second, gradient, name) {
  if (second$lowest < -1e-6 || max(abs(gradient)) > 1e-5) {
    em_warn(sprintf("The rotation %s did not converge: the loadings are not at a minimum of its criterion.", name),
            "rotation")
  } else if (second$flat > 0L) {
    em_warn(sprintf(paste0("The criterion of the rotation %s does not determine the factors: it stays the same as ",
                           "they turn in %s. Use another rotation."), name, count_of(second$flat, "direction")),
            "rotation")
  }
}

# GPArotation's matrix of a turn: for oblique factors the inverse of its transpose.
gpa_matrix <- function(turn, oblique) {
  turn <- matrix(turn, nrow(turn))
  if (oblique) t(solve(turn)) else turn
}

# Newton steps with a fixed `inverse` of the second derivatives, as long as they bring the gradient down.
newton_turn <- function(loadings, fun, turn, oblique, inverse, steps = 20L) {
  kept <- attributes(turn)
  turn <- matrix(turn, ncol(loadings))
  gradient <- gpa_gradient(loadings, turn, fun, oblique)
  for (step in seq_len(steps)) {
    if (max(abs(gradient)) < 1e-13) break
    try <- move_turn(turn, -drop(inverse %*% gradient), oblique)
    there <- gpa_gradient(loadings, try, fun, oblique)
    if (!all(is.finite(there)) || sum(there^2) >= sum(gradient^2)) break
    turn <- try
    gradient <- there
  }
  attributes(turn) <- kept
  turn
}

# The gradient of the criterion of `fun` in the coordinates of move_turn(): as GPArotation's GPForth() and GPFoblq()
# project it. With `eps` infinite they stop where they begin.
gpa_gradient <- function(loadings, turn, fun, oblique) {
  inner <- gpa_matrix(turn, oblique)
  at <- fun(loadings, Tmat = inner, eps = Inf)
  if (!oblique) {
    m <- crossprod(inner, crossprod(loadings, at$Gq))
    return((m - t(m))[lower.tri(m)])
  }
  g <- -t(crossprod(matrix(at$loadings, nrow(loadings)), at$Gq) %*% solve(inner))
  m <- crossprod(inner, g - sweep(inner, 2L, colSums(inner * g), "*"))
  m[lower.tri(m) | upper.tri(m)]
}

# A turn near another: orthogonal ones by a skew matrix; oblique ones by the off-diagonal of a matrix by which the
# columns of its transposed inverse, of length 1, are mixed.
move_turn <- function(turn, step, oblique) {
  q <- ncol(turn)
  mix <- matrix(0, q, q)
  if (!oblique) {
    mix[lower.tri(mix)] <- step
    parts <- svd(turn %*% (diag(q) + mix - t(mix)))
    return(tcrossprod(parts$u, parts$v))
  }
  mix[lower.tri(mix) | upper.tri(mix)] <- step
  inner <- gpa_matrix(turn, TRUE) %*% (diag(q) + mix)
  t(solve(sweep(inner, 2L, sqrt(colSums(inner^2)), "/")))
}

# Second derivatives of the criterion, by differences of its gradient: `inverse` (0 in directions in which it is flat),
# how many those are, and the `lowest` of the eigenvalues, relative to the largest.
gpa_inverse <- function(loadings, turn, fun, oblique, h = 1e-5) {
  turn <- matrix(turn, ncol(loadings))
  m <- choose(ncol(turn), 2L) * (1L + oblique)
  second <- vapply(seq_len(m), function(k) {
    side <- function(h) gpa_gradient(loadings, move_turn(turn, h * (seq_len(m) == k), oblique), fun, oblique)
    (side(h) - side(-h)) / (2 * h)
  }, numeric(m))
  second <- matrix(second, m)
  spectrum <- eigen((second + t(second)) / 2, symmetric = TRUE)
  size <- max(abs(spectrum$values))
  good <- abs(spectrum$values) > 1e-7 * size & size > 1e-12
  vectors <- spectrum$vectors[, good, drop = FALSE]
  list(inverse = vectors %*% (t(vectors) / spectrum$values[good]), flat = sum(!good),
       lowest = if (any(good)) min(spectrum$values) / size else 0)
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
