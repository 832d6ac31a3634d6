# Fixed and shared parameters of responses, in the core's terms.

# Responses with their fixed and shared parameters in the core's terms. `fixed`, `shared`: as users give them.
constrain_responses <- function(responses, fixed, shared, n_components) {
  names <- names(responses)
  fixed <- by_response(fixed, names, "fixed$emission")
  shared <- by_response(shared, names, "shared")
  lapply(responses, function(response) {
    what <- sprintf("the response %s", dQuote(response$name, FALSE))
    response$fixed <- fixed_natural(response, fixed[[response$name]], n_components)
    response$shared <- shared_natural(response, shared[[response$name]], n_components)
    p <- n_coefficients(response$design)
    first <- response$design$intercept
    tied <- !is.null(p) && first > 0L &&
      (any(!is.na(response$fixed[first, ])) || isTRUE(response$shared[first]))
    response$design <- standardise_design(response$design, what, centred = !tied)
    response
  })
}

# A user's value for responses, as a list by response. With one response it may be that response's own value.
by_response <- function(value, names, argument) {
  if (is.null(value)) return(NULL)
  if (is.list(value) && length(value) > 0L && !is.null(names(value)) && all(names(value) %in% names)) return(value)
  if (length(names) == 1L) return(stats::setNames(list(value), names))
  em_abort(sprintf("`%s` must be a list named by response: some of %s.", argument,
                   paste(dQuote(names, FALSE), collapse = ", ")), "argument", argument = argument)
}

# The natural parameters' places (1 .. m K) in the shape in which users see them.
natural_places <- function(response, n_components, labels = NULL) {
  m <- n_natural(response)
  # Numbers between 0 and 1 on their way: families bring angles into their range.
  scale <- m * n_components + 1
  places <- matrix(seq_len(m * n_components) / scale, m, dimnames = list(NULL, labels))
  lapply(response$family$from_natural(places, response_info(response)), function(x) {
    x[] <- round(x * scale)
    x
  })
}

n_natural <- function(response) {
  info <- response_info(response)
  response$family$n_parameters(info, info$p)
}

# What a family's functions need to know of a response beside its parameters.
response_info <- function(response) {
  info <- response$info
  # Also where it is NULL: `info$p` would else be the first element whose name begins with p.
  info["p"] <- list(n_coefficients(response$design))
  info$coefficient_names <- response$design$names
  info$columns <- response$columns
  info$n_parts <- response$options$n_parts
  info$levels <- response$levels
  info
}

# m x K with NA where free, or NULL; from list(sd = c(NA, 0.2)), in the shapes of the parameters.
fixed_natural <- function(response, fixed, n_components) {
  if (is.null(fixed)) return(NULL)
  places <- natural_places(response, n_components)
  strange <- setdiff(names(fixed), names(places))
  if (!is.list(fixed) || is.null(names(fixed)) || length(strange) > 0L) {
    em_abort(sprintf("`fixed` of the response %s must be a list with some of %s%s.", dQuote(response$name, FALSE),
                     paste(names(places), collapse = ", "),
                     if (length(strange) > 0L) paste0(", not ", paste(strange, collapse = ", ")) else ""), "fixed")
  }
  out <- matrix(NA_real_, n_natural(response), n_components)
  for (name in names(fixed)) {
    value <- fixed[[name]]
    place <- places[[name]]
    if (!is.numeric(value) && !all(is.na(value)) || length(value) != length(place)) {
      em_abort(sprintf("`fixed` of the response %s: %s must have %s (NA where free), not %s.",
                       dQuote(response$name, FALSE),
                       name, shape_words(place), shape_words(value)), "fixed")
    }
    check_fixed_values(as.double(value), name, response)
    out[as.vector(place)] <- as.double(value)
  }
  out
}

# Fixed values lie where the parameter does. Coefficients and covariances may be any number.
check_fixed_values <- function(value, name, response) {
  domain <- if (name %in% c("coefficients", "covariance")) "real" else response$family$domains[[name]]
  bad <- which(!is.na(value) & !domain_holds(value, domain) & !(name == "df" & value == Inf))
  if (length(bad) == 0L) return(invisible())
  em_abort(sprintf("`fixed` of the response %s: %s must be %s, not %s. Give NA where it is free.",
                   dQuote(response$name, FALSE), name, domain_words(domain), format(value[bad[1L]])),
           "fixed", response = response$name, parameter = name, value = value[bad[1L]])
}

shape_words <- function(x) {
  if (is.null(dim(x))) count_of(length(x), "value") else paste(dim(x), collapse = " x ")
}

# logical(m) or NULL: which natural parameters are equal over the components.
shared_natural <- function(response, shared, n_components) {
  if (is.null(shared)) return(NULL)
  places <- natural_places(response, n_components)
  m <- n_natural(response)
  rows_of <- function(name) unique((as.vector(places[[name]]) - 1L) %% m + 1L)
  coefficients <- n_coefficients(response$design)
  out <- logical(m)
  for (name in as.character(unlist(shared))) {
    if (name %in% names(places)) {
      out[rows_of(name)] <- TRUE
    } else if (!is.null(coefficients) && name %in% response$design$names) {
      rows <- rows_of("coefficients")
      out[rows[(seq_along(rows) - 1L) %% coefficients + 1L == match(name, response$design$names)]] <- TRUE
    } else {
      em_abort(sprintf("`shared` of the response %s names %s; its parameters are %s.", dQuote(response$name, FALSE),
                       dQuote(name, FALSE), paste(c(names(places), if (!is.null(coefficients)) response$design$names),
                                                  collapse = ", ")), "shared")
    }
  }
  out
}
