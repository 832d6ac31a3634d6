# Families of responses, R's side: what users call their parameters, which values they admit, and the distributions for
# prediction, residuals and simulation. The core has the likelihoods (src/registry_response.cpp); each of its names has
# a function family_<name>() here or in another family-*.R.
#
# `theta` is a list of parameters by row (vectors of n, matrices with n rows), the mean after the link. `info` is what
# check() found out about a response, with p (number of coefficients, NULL without covariates), coefficient_names,
# columns, levels and n_parts.

# A family. Most have a mean-like parameter (the first of `domains`) that covariates replace by coefficients, and
# auxiliary ones; they need not give to_natural, from_natural, row_parameters and n_parameters.
#   domains      named: "real", "positive", "rate" (0 included) or "probability", in the order of the natural parameters
#   links        named list of functions from the linear predictor to the mean, the default first
#   convert      from other names a user may write (a list) to those of `domains`
#   support      which values a response may have, see new_support()
#   check        function(y, name) instead of `support`
new_family <- function(name, title, domains, links, link = NULL, aliases = character(), discrete = FALSE,
                       columns = "one", covariates = TRUE, convert = identity, support = NULL, check = NULL,
                       density, cdf = NULL, quantile = NULL, mean, random, to_natural = NULL, from_natural = NULL,
                       row_parameters = NULL, n_parameters = NULL) {
  if (is.null(link)) link <- names(links)[1L]
  if (!link %in% names(links)) {
    em_abort(sprintf("The family %s has no link %s; it has %s.", dQuote(name, FALSE), dQuote(link, FALSE),
                     paste(dQuote(names(links), FALSE), collapse = ", ")), "family", link = link)
  }
  family <- list(
    name = name, title = title, link = link, parameter_names = names(domains), aliases = aliases, discrete = discrete,
    columns = columns, covariates = covariates, domains = domains, inverse_link = links[[link]],
    density = density, cdf = cdf, quantile = quantile, mean = mean, random = random
  )
  or <- function(x, default) if (is.null(x)) default else x
  family$check <- or(check, function(y, name) check_one_column(y, name, family, support))
  family$to_natural <- or(to_natural, function(list, info, K, p = info$p) {
    scalar_to_natural(convert(list), family, info, K, p)
  })
  family$from_natural <- or(from_natural, function(natural, info) scalar_from_natural(natural, family, info))
  family$row_parameters <- or(row_parameters, function(natural, k, x, offset, info) {
    scalar_row_parameters(natural, k, x, offset, family, info)
  })
  family$n_parameters <- or(n_parameters, function(info, p = info$p) {
    length(domains) + if (is.null(p)) 0L else p - 1L
  })
  structure(family, class = "em_family")
}

# ---- the choice of a family ----------------------------------------------------------------------

# Every registered family by name, at its default link.
all_families <- function() {
  names <- response_registry_()$name
  stats::setNames(lapply(names, function(name) get(paste0("family_", name), mode = "function")()), names)
}

# An em_family from a name, one of its aliases, or a family object of stats.
resolve_family <- function(family) {
  if (inherits(family, "em_family")) return(family)
  link <- NULL
  if (is.function(family)) family <- tryCatch(family(), error = function(e) NULL)
  if (inherits(family, "family")) {
    link <- family$link
    family <- c(gaussian = "gaussian", poisson = "poisson", binomial = "binomial", Gamma = "gamma",
                "Negative Binomial" = "negative_binomial")[sub("\\(.*", "", family$family)]
  }
  registry <- all_families()
  choices <- names(registry)
  if (!is.character(family) || length(family) != 1L || is.na(family)) {
    em_abort(sprintf("`family` must be one of %s, or gaussian(), poisson(), binomial() or Gamma() of stats, not %s.",
                     paste(dQuote(choices, FALSE), collapse = ", "), describe_value(family)), "family",
             choices = choices)
  }
  aliases <- lapply(registry, `[[`, "aliases")
  name <- choices[match(tolower(family), choices)]
  if (is.na(name)) name <- rep(choices, lengths(aliases))[match(tolower(family), unlist(aliases))]
  if (is.na(name)) {
    em_abort(sprintf("`family` does not know %s. The choices are %s.", dQuote(unname(family), FALSE),
                     paste(dQuote(choices, FALSE), collapse = ", ")), "family", choices = choices)
  }
  if (is.null(link)) registry[[name]] else get(paste0("family_", name), mode = "function")(link)
}

# ---- parameters that are one number each -----------------------------------------------------------

domain_holds <- function(x, domain) {
  is.finite(x) & switch(domain, real = TRUE, positive = x > 0, rate = x >= 0, probability = x >= 0 & x <= 1)
}

domain_words <- function(domain) {
  switch(domain, real = "finite", positive = "positive", rate = "not negative", probability = "between 0 and 1")
}

# `count` numbers of one parameter; one number stands for all.
check_parameter <- function(x, name, count, domain, family) {
  if (is.null(x)) {
    em_abort(sprintf("The parameters of the family %s lack %s; they are %s.", dQuote(family$name, FALSE),
                     dQuote(name, FALSE), paste(family$parameter_names, collapse = ", ")), "start", parameter = name)
  }
  if (!is.numeric(x) || !length(x) %in% c(1L, count) || !all(domain_holds(x, domain))) {
    em_abort(sprintf("The parameter %s of the family %s must be %s, %s, not %s.",
                     dQuote(name, FALSE), dQuote(family$name, FALSE),
                     if (count == 1L) "one number" else sprintf("%d numbers", count), domain_words(domain),
                     if (is.numeric(x) && length(x) == count) paste(format(x), collapse = ", ") else describe_value(x)),
             "start", parameter = name)
  }
  rep_len(as.double(x), count)
}

# p x K coefficients; a vector for one coefficient, or for one component.
check_coefficients <- function(x, p, K, family, names = NULL) {
  if (is.null(x)) {
    em_abort(sprintf("The parameters of the family %s lack %s; with covariates or an offset they are %s.",
                     dQuote(family$name, FALSE), dQuote("coefficients", FALSE),
                     paste(c("coefficients", family$parameter_names[-1L]), collapse = ", ")), "start",
             parameter = "coefficients")
  }
  fine <- is.numeric(x) && length(x) == p * K && all(is.finite(x)) &&
    (length(dim(x)) == 2L && all(dim(x) == c(p, K)) || is.null(dim(x)) && (p == 1L || K == 1L))
  if (!fine) {
    em_abort(sprintf("The coefficients of the family %s must be a %d x %d matrix of finite numbers%s, not %s.",
                     dQuote(family$name, FALSE), p, K,
                     if (is.null(names)) "" else paste0(" (rows ", paste(names, collapse = ", "), ")"),
                     if (is.numeric(x) && !is.null(dim(x))) paste("one of", paste(dim(x), collapse = " x ")) else
                       describe_value(x)), "start", parameter = "coefficients")
  }
  matrix(as.double(x), p, K)
}

check_parameter_list <- function(list, family, names) {
  unknown <- setdiff(names(list), names)
  if (!is.list(list) || is.null(names(list)) || length(unknown) > 0L) {
    em_abort(sprintf("The parameters of the family %s must be a list of %s%s.", dQuote(family$name, FALSE),
                     paste(names, collapse = ", "),
                     if (length(unknown) > 0L) paste0(", not ", paste(unknown, collapse = ", ")) else
                       paste(", not", describe_value(list))), "start")
  }
}

scalar_to_natural <- function(list, family, info, K, p) {
  auxiliary <- family$parameter_names[-1L]
  first <- if (is.null(p)) family$parameter_names[1L] else "coefficients"
  check_parameter_list(list, family, c(first, auxiliary))
  top <- if (is.null(p)) {
    check_parameter(list[[first]], first, K, family$domains[[first]], family)
  } else {
    check_coefficients(list$coefficients, p, K, family, info$coefficient_names)
  }
  rest <- lapply(auxiliary, function(name) check_parameter(list[[name]], name, K, family$domains[[name]], family))
  unname(do.call(rbind, c(list(matrix(top, ncol = K)), rest)))
}

scalar_from_natural <- function(natural, family, info) {
  names <- family$parameter_names
  p <- nrow(natural) - length(names) + 1L
  vector <- function(row) stats::setNames(natural[row, ], colnames(natural))
  auxiliary <- lapply(p + seq_along(names[-1L]), vector)
  if (is.null(info$p)) return(stats::setNames(c(list(vector(1L)), auxiliary), names))
  coefficients <- natural[seq_len(p), , drop = FALSE]
  rownames(coefficients) <- info$coefficient_names
  stats::setNames(c(list(coefficients), auxiliary), c("coefficients", names[-1L]))
}

# The parameters of state k by row. Without x and offset there is one row.
scalar_row_parameters <- function(natural, k, x, offset, family, info) {
  names <- family$parameter_names
  p <- nrow(natural) - length(names) + 1L
  if (is.null(x) && is.null(offset)) {
    first <- natural[1L, k]
  } else {
    eta <- if (is.null(x)) rep(natural[1L, k], length(offset)) else drop(x %*% natural[seq_len(p), k])
    first <- family$inverse_link(if (is.null(offset)) eta else eta + offset)
  }
  rest <- lapply(natural[p + seq_along(names[-1L]), k], rep, length.out = length(first))
  stats::setNames(c(list(first), rest), names)
}

# ---- values of responses ---------------------------------------------------------------------------

# Numbers, one column.
check_numeric_response <- function(y, name) {
  if (is.logical(y)) y <- y + 0
  if (inherits(y, c("Date", "POSIXt", "difftime")) || !is.numeric(y)) {
    em_abort(sprintf("The response %s must be numeric, not %s.", dQuote(name, FALSE), describe_value(y)),
             "response_type", response = name)
  }
  if (anyNA(y)) y[is.nan(y)] <- NA
  y
}

# Stops at the first row whose value is outside the support. The look itself makes no copy: a response may be most of the
# memory there is.
check_support <- function(y, name, family, support) {
  outside <- values_outside_(y, support$low, support$high, support$open, support$whole)
  if (outside[2L] == 0) return(invisible())
  row <- outside[1L]
  if (row <= .Machine$integer.max) row <- as.integer(row)
  abort_outside(y, row, outside[2L] - 1, name, family, support$words)
}

# Likewise at the first row that is `bad`.
abort_support <- function(y, bad, name, family, words) {
  abort_outside(y, which(bad)[1L], sum(bad) - 1, name, family, words)
}

abort_outside <- function(y, row, more, name, family, words) {
  em_abort(sprintf("The response %s must be %s for the family %s; row %.0f is %s%s.", dQuote(name, FALSE), words,
                   dQuote(family$name, FALSE), row, format(y[row], digits = 15),
                   if (more > 0) sprintf(" (and %.0f more)", more) else ""),
           "support", response = name, row = row, value = y[row])
}

# list(y = n x 1, levels, info) of a response of one column.
check_one_column <- function(y, name, family, support) {
  if (length(dim(y)) == 2L && ncol(y) != 1L) {
    em_abort(sprintf("The response %s has %d columns; the family %s takes one.", dQuote(name, FALSE), ncol(y),
                     dQuote(family$name, FALSE)), "response_type", response = name)
  }
  y <- as.double(check_numeric_response(y, name))
  check_support(y, name, family, support)
  dim(y) <- c(length(y), 1L)
  list(y = y, levels = NULL, info = list())
}

# Finite numbers from `low` to `high`, these two not among them when `open`; whole numbers only when `whole`.
new_support <- function(words, low = -Inf, high = Inf, open = TRUE, whole = FALSE) {
  list(words = words, low = low, high = high, open = open, whole = whole)
}
support_real <- new_support("finite")
support_positive <- new_support("positive", low = 0)
support_not_negative <- new_support("not negative", low = 0, open = FALSE)
support_unit <- new_support("strictly between 0 and 1", low = 0, high = 1)
support_count <- new_support("whole numbers, not negative", low = 0, open = FALSE, whole = TRUE)

# ---- gaussian --------------------------------------------------------------------------------------

family_gaussian <- function(link = NULL) {
  new_family(
    "gaussian", "normal", c(mean = "real", sd = "positive"), list(identity = identity, log = exp), link,
    aliases = c("normal", "norm"), support = support_real,
    density = function(y, theta, log = FALSE) stats::dnorm(y, theta$mean, theta$sd, log),
    cdf = function(y, theta) stats::pnorm(y, theta$mean, theta$sd),
    quantile = function(prob, theta) stats::qnorm(prob, theta$mean, theta$sd),
    mean = function(theta) theta$mean,
    random = function(n, theta) stats::rnorm(n, theta$mean, theta$sd)
  )
}
