# Responses and their parameters to the core and back.

# The response as the core takes it (see the glue); the rows of `rows` in that order.
core_response <- function(response, rows = NULL) {
  if (!is.null(rows)) response <- response_rows(response, rows)
  fixed <- response$fixed
  if (!is.null(fixed)) fixed <- natural_to_core(fixed, response)
  list(name = response$name, family = response$family$name, y = response$y, x = core_columns(response$design),
       offset = response$design$offset, link = response$link, options = response$options, fixed = fixed,
       shared = response$shared)
}

response_rows <- function(response, rows) {
  response$y <- response$y[rows, , drop = FALSE]
  response$design <- design_rows(response$design, rows)
  response
}

# m x K natural parameters, of the columns as written and of the core's standardised columns.
natural_from_core <- function(natural, response) map_coefficients(natural, response, design_from_core)
natural_to_core <- function(natural, response) map_coefficients(natural, response, design_to_core)

# Coefficients are the first rows: one block of p, or for categories one for each but the first.
map_coefficients <- function(natural, response, map) {
  p <- n_coefficients(response$design)
  if (is.null(p) || is.null(response$design$x)) return(natural)
  blocks <- coefficient_blocks(response)
  rows <- seq_len(p * blocks)
  natural[rows, ] <- map(matrix(natural[rows, ], p), response$design)
  natural
}

coefficient_blocks <- function(response) {
  if (response$family$name == "categorical") length(response$levels) - 1L else 1L
}

# Parameters as users see them, of the core's natural parameters; and back. For one response a list of its parameters,
# for several a list of such lists.
emission_from_core <- function(natural, responses, labels) {
  out <- lapply(seq_along(responses), function(r) {
    response <- responses[[r]]
    matrix <- natural_from_core(natural[[r]], response)
    colnames(matrix) <- labels
    response$family$from_natural(matrix, response_info(response))
  })
  if (length(out) == 1L) out[[1L]] else stats::setNames(out, names(responses))
}

emission_to_core <- function(emission, responses, n_components) {
  lists <- by_response(emission, names(responses), "emission")
  lapply(responses, function(response) {
    info <- response_info(response)
    one <- lists[[response$name]]
    if (is.null(one)) {
      em_abort(sprintf("`start$emission` has nothing for the response %s.", dQuote(response$name, FALSE)), "start")
    }
    natural_to_core(response$family$to_natural(one, info, n_components, info$p), response)
  })
}
