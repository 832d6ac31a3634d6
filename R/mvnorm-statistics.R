# Moments of missingness patterns as R objects: what a fit keeps in place of its data, so that more rows can join.
#
# list(observed (P x p, logical), rows, weight (P), mean (P x p, NA where not observed), scatter (list of P p x p matrices
# about the mean, 0 where not observed), n_rows (rows that observe nothing included), weighted (whether there were
# weights)).
mvnorm_statistics <- function(x, weights, control) {
  s <- mvnorm_statistics_(x, weights, resolve_threads(control))
  s$n_rows <- nrow(x)
  s$weighted <- !is.null(weights)
  s
}

merge_statistics <- function(a, b) {
  key <- function(s) apply(s$observed + 0L, 1L, paste, collapse = "")
  at <- match(key(b), key(a))
  for (i in which(!is.na(at))) {
    k <- at[i]
    total <- a$weight[k] + b$weight[i]
    shift <- b$mean[i, ] - a$mean[k, ]
    spread <- tcrossprod(shift) * (a$weight[k] * b$weight[i] / total)
    spread[is.na(spread)] <- 0
    a$scatter[[k]] <- a$scatter[[k]] + b$scatter[[i]] + spread
    a$mean[k, ] <- a$mean[k, ] + shift * (b$weight[i] / total)
    a$weight[k] <- total
    a$rows[k] <- a$rows[k] + b$rows[i]
  }
  new <- which(is.na(at))
  a$observed <- rbind(a$observed, b$observed[new, , drop = FALSE])
  a$mean <- rbind(a$mean, b$mean[new, , drop = FALSE])
  a$rows <- c(a$rows, b$rows[new])
  a$weight <- c(a$weight, b$weight[new])
  a$scatter <- c(a$scatter, b$scatter[new])
  a$n_rows <- a$n_rows + b$n_rows
  a
}

# A fit of merged moments, from where `object` stands; `call` is the user's.
fit_mvnorm_statistics <- function(statistics, object, call = object$call) {
  control <- object$control
  threads <- resolve_threads(control)
  # A ridge whose strength came from the data stays as strong as it was; its scale follows the variances.
  prior <- object$prior
  if (!is.null(prior) && prior$type == "ridge") prior$scale <- diag(prior$strength * statistics_variances(statistics))
  start <- check_mvnorm_start(object, object$variables)
  run <- mvnorm_fit_statistics_(statistics, prior[c("exponent", "scale")], start, mvnorm_control(control), threads)
  if (run$status == "degenerate") abort_mvnorm_degenerate(run, object$variables)
  input <- list(x = matrix(0, statistics$n_rows, 0L), variables = object$variables, formula = object$formula,
                terms = object$terms)
  fit <- build_mvnorm(run, input, NULL, prior, control, call, NULL)
  fit["data"] <- list(NULL)
  fit$statistics <- statistics
  warn_mvnorm(fit)
  fit
}

# Variances of the observed cells, column by column.
statistics_variances <- function(s) {
  w <- s$observed * s$weight
  mean <- colSums(ifelse(s$observed, s$mean, 0) * w) / colSums(w)
  within <- rowSums(vapply(s$scatter, diag, numeric(length(mean))))
  between <- colSums(ifelse(s$observed, sweep(s$mean, 2L, mean)^2, 0) * w)
  (within + between) / colSums(w)
}
