# The parameters of em(): a numeric vector or a named list of numeric arrays, `start` giving their shape; the flat
# vector that the core works with; and the coordinates without constraint that accelerators and standard errors work in.

em_transforms <- c("real", "positive", "probability", "simplex", "covariance")

em_flat <- function(theta) as.double(unlist(theta, use.names = FALSE))

# A flat vector in the shape of `start`.
em_shaped <- function(flat, start) {
  if (!is.list(start)) return(em_fill(start, flat))
  last <- cumsum(lengths(start))
  Map(function(element, to) em_fill(element, flat[seq.int(to - length(element) + 1L, length.out = length(element))]),
      start, last)
}

em_fill <- function(element, values) {
  attributes(values) <- attributes(element)
  values
}

# "list(p: 1, mu: 2, sigma: 2 x 2)".
em_describe_shape <- function(start) {
  size <- function(e) if (is.null(dim(e))) as.character(length(e)) else paste(dim(e), collapse = " x ")
  if (!is.list(start)) return(paste("a numeric vector of length", length(start)))
  paste0("list(", paste0(names(start), ": ", vapply(start, size, ""), collapse = ", "), ")")
}

# `value` in the very shape of `start`, or what is wrong with it as a character string.
em_conform <- function(value, start) {
  if (!is.list(start)) return(em_conform_element(value, start, if (is.null(names(start))) "theta" else ""))
  if (!is.list(value)) return(paste("it is", em_what_came(value), "and no list"))
  missing <- setdiff(names(start), names(value))
  if (length(missing) > 0L) return(sprintf("it has no element `%s`", missing[1L]))
  extra <- setdiff(names(value), names(start))
  if (length(extra) > 0L || length(value) != length(start)) {
    return(if (length(extra) > 0L && nzchar(extra[1L])) sprintf("`start` has no element `%s`", extra[1L]) else
      sprintf("it has %d elements, `start` has %d", length(value), length(start)))
  }
  out <- start
  for (name in names(start)) {
    element <- em_conform_element(value[[name]], start[[name]], name)
    if (is.character(element)) return(element)
    out[[name]] <- element
  }
  out
}

em_conform_element <- function(value, element, name) {
  say <- function(...) paste(if (nzchar(name) && name != "theta") sprintf("`%s`", name) else "it", sprintf(...))
  if (!is.numeric(value) && !is.logical(value)) return(say("is %s, not numeric", em_what_came(value)))
  if (length(value) != length(element)) return(say("has length %d, not %d", length(value), length(element)))
  # extents of one do not count: crossprod() makes a number a matrix
  extents <- function(x) {
    d <- if (is.null(dim(x))) length(x) else dim(x)
    d[d != 1L]
  }
  if (!identical(as.integer(extents(value)), as.integer(extents(element)))) {
    size <- function(x) if (is.null(dim(x))) "no dimensions" else paste("dimension", paste(dim(x), collapse = " x "))
    return(say("has %s, not %s", size(value), size(element)))
  }
  came <- names(value)
  value <- em_in_order(value, element)
  if (is.null(value)) {
    return(say(paste("has the names %s, not %s (name its entries as `start` does, in any order, or not at all:",
                     "unname() drops names, and so does x[[\"a\"]] where x[\"a\"] keeps them)"),
               abbreviate_list(came), abbreviate_list(names(element))))
  }
  bad <- which(!is.finite(value))
  if (length(bad) > 0L) {
    label <- em_element_labels(element, name)[bad[1L]]
    return(sprintf("`%s` is %s", label, format(as.vector(value)[bad[1L]])))
  }
  em_fill(element, as.double(value))
}

# Entries with the names of `element` in another order, put in its order; NULL if a vector has other names. Dimensions
# with other names are left alone: products of matrices give them.
em_in_order <- function(value, element) {
  same <- function(a, b) length(a) > 0L && !anyDuplicated(a) && setequal(a, b)
  if (is.null(dim(element))) {
    if (is.null(names(element)) || is.null(names(value)) || identical(names(value), names(element))) return(value)
    return(if (same(names(value), names(element))) as.vector(value)[match(names(element), names(value))])
  }
  if (is.null(dimnames(value)) || !identical(dim(value), dim(element))) return(value)
  order <- Map(function(came, wanted, n) if (same(came, wanted)) match(wanted, came) else seq_len(n),
               dimnames(value), em_dimnames(element), dim(element))
  do.call(`[`, c(list(value), unname(order), drop = FALSE))
}

em_dimnames <- function(x) if (is.null(dimnames(x))) vector("list", length(dim(x))) else dimnames(x)

em_what_came <- function(x) {
  if (is.numeric(x) && length(x) != 1L) paste("a numeric vector of length", length(x)) else describe_value(x)
}

# "mu[1]", "sigma[a,b]", or the bare name of a single number.
em_element_labels <- function(element, name) {
  d <- dim(element)
  if (is.null(d)) {
    inner <- names(element)
    if (!nzchar(name)) return(inner)
    if (is.null(inner) && length(element) == 1L) return(name)
    return(sprintf("%s[%s]", name, if (is.null(inner)) seq_along(element) else inner))
  }
  along <- lapply(seq_along(d), function(i) {
    names <- dimnames(element)[[i]]
    if (is.null(names)) seq_len(d[i]) else names
  })
  sprintf("%s[%s]", name, do.call(paste, c(do.call(expand.grid, c(along, stringsAsFactors = FALSE)), sep = ",")))
}

em_labels <- function(start) {
  if (!is.list(start)) return(em_element_labels(start, if (is.null(names(start))) "theta" else ""))
  unlist(lapply(names(start), function(name) em_element_labels(start[[name]], name)))
}

# Everything about the parameters and their coordinates: list(start, labels, shown (which labels are coefficients: one
# half of a covariance matrix is enough), transform (by flat position), element, layout (blocks for the core),
# n_packed).
em_space <- function(start, transform, pack = NULL, unpack = NULL, what = "`start`") {
  if (is.null(pack) != is.null(unpack)) {
    em_abort("`pack` and `unpack` must be given together: each is the inverse of the other.", "argument")
  }
  if (!is.null(pack) && !is.null(transform)) {
    em_abort("Give `transform`, or `pack` and `unpack`, not both.", "argument", argument = "transform")
  }
  elements <- if (is.list(start)) start else list(start)
  chosen <- em_resolve_transform(transform, start)
  blocks <- list()
  shown <- rep(TRUE, sum(lengths(elements)))
  offset <- 0L
  for (i in seq_along(elements)) {
    at <- offset + seq_along(elements[[i]])
    name <- if (is.list(start)) sprintf("`%s`", names(start)[i]) else "it"
    made <- em_blocks(elements[[i]], chosen[at], at, name, what)
    blocks <- c(blocks, made$blocks)
    shown[made$hidden] <- FALSE
    offset <- offset + length(at)
  }
  space <- list(start = start, labels = em_labels(start), shown = shown, transform = chosen,
                element = rep(if (is.list(start)) names(start) else "", lengths(elements)), layout = blocks)
  if (is.null(pack)) {
    outside <- em_outside(space, em_flat(start), inside = TRUE)
    if (!is.null(outside)) em_abort(sprintf("%s is outside the space of its transform: %s.", what, outside), "start")
    # a single share is 1 and has no coordinate
    space$layout <- Filter(function(b) b$transform != "simplex" || length(b$at) > 1L, space$layout)
    space$n_packed <- length(em_pack_(space$layout, em_flat(start)))
  }
  space
}

# A transform for every flat position.
em_resolve_transform <- function(transform, start) {
  sizes <- if (is.list(start)) lengths(start) else rep(1L, length(start))
  names <- names(start)
  if (is.null(transform)) return(rep("real", sum(sizes)))
  transform <- unlist(transform)
  if (!is.character(transform) || !all(transform %in% em_transforms)) {
    wrong <- if (is.character(transform)) dQuote(setdiff(transform, em_transforms)[1L],
                                                 FALSE) else describe_value(transform)
    em_abort(sprintf("`transform` must be made of %s, not %s.",
                     paste(dQuote(em_transforms, FALSE), collapse = ", "), wrong), "argument", argument = "transform")
  }
  if (is.null(names(transform))) {
    if (length(transform) == 1L) return(rep(transform, sum(sizes)))
    if (is.list(start) || length(transform) != length(sizes)) {
      em_abort(paste0("`transform` of more than one must have the names of the parameters of `start`, for example ",
                      "c(", if (is.null(names)) "a" else names[1L], " = \"positive\")."), "argument",
               argument = "transform")
    }
    return(unname(transform))
  }
  unknown <- setdiff(names(transform), names)
  if (length(unknown) > 0L || anyDuplicated(names(transform))) {
    em_abort(sprintf("`transform` names %s, and `start` has %s.",
                     if (length(unknown) > 0L) dQuote(unknown[1L], FALSE) else "a parameter twice",
                     if (is.null(names)) "no names" else abbreviate_list(names)), "argument", argument = "transform")
  }
  one <- stats::setNames(rep("real", length(names)), names)
  one[names(transform)] <- transform
  rep(unname(one), sizes)
}

# The blocks of one element, whose extents must suit the transform. For a numeric vector as `start` transforms can differ
# by entry.
em_blocks <- function(element, transform, at, name, what) {
  blocks <- list()
  hidden <- integer()
  fails <- function(required) {
    em_abort(sprintf("%s does not suit its transform: %s must be %s.", what, name, required), "start")
  }
  for (kind in c("real", "positive", "probability")) {
    here <- transform == kind
    if (any(here)) blocks <- c(blocks, list(list(transform = kind, at = at[here])))
  }
  if (any(transform == "simplex")) {
    if (length(dim(element)) > 2L) fails("a vector, or a matrix each of whose rows sums to 1")
    sets <- if (is.matrix(element)) split(at, row(element)) else list(at[transform == "simplex"])
    blocks <- c(blocks, lapply(unname(sets), function(set) list(transform = "simplex", at = set)))
  }
  if (any(transform == "covariance")) {
    d <- dim(element)
    if (!length(d) %in% 2:3 || d[1L] != d[2L]) fails("a d x d matrix or a d x d x K array")
    for (slice in split(at, rep(seq_len(length(at) / d[1L]^2), each = d[1L]^2))) {
      blocks <- c(blocks, list(list(transform = "covariance", at = slice)))
      hidden <- c(hidden, slice[upper.tri(diag(d[1L]))])
    }
  }
  list(blocks = blocks, hidden = hidden)
}

# What is outside the space of its transform, in words, or NULL. `inside`: on the boundary counts as outside; else a
# little beyond it is rounding.
em_outside <- function(space, flat, inside) {
  for (b in space$layout) {
    v <- flat[b$at]
    first <- function(wrong) {
      i <- b$at[which(wrong)[1L]]
      sprintf("`%s` is %s", space$labels[i], format(flat[i], digits = 7L))
    }
    element <- space$element[b$at[1L]]
    name <- if (nzchar(element)) sprintf("`%s`", element) else "it"
    slack <- if (inside) 0 else 1e-6
    said <- switch(b$transform,
      positive = if (any(v < 0 | (inside & v == 0))) {
        sprintf("%s must be %s, and %s", name, if (inside) "above 0" else "0 or more", first(v < 0 | (inside & v == 0)))
      },
      probability = {
        wrong <- if (inside) v <= 0 | v >= 1 else v < -slack | v > 1 + slack
        if (any(wrong)) {
          sprintf("%s must be between 0 and 1%s, and %s", name, if (inside) ", and neither of them" else "", first(wrong))
        }
      },
      simplex = {
        wrong <- if (inside) v <= 0 else v < -slack
        if (any(wrong)) {
          paste0(sprintf("%s must be shares %s, and %s", name, if (inside) "above 0" else "of 0 or more", first(wrong)),
                 if (inside && any(v == 0)) " (a share that is to stay 0 needs `pack` and `unpack`)")
        } else if (abs(sum(v) - 1) > max(slack, 1e-8)) {
          sprintf("%s must be shares that sum to 1%s, and the sum %sis %s", name,
                  if (em_rows(space, b)) " in each row" else "",
                  if (em_rows(space, b)) sprintf("with `%s` ", space$labels[b$at[1L]]) else "",
                  format(sum(v), digits = 10L))
        }
      },
      covariance = em_no_covariance(matrix(v, sqrt(length(v))), name, inside)
    )
    if (!is.null(said)) return(said)
  }
  NULL
}

# Whether a simplex is one of several rows of a matrix.
em_rows <- function(space, block) {
  element <- if (is.list(space$start)) space$start[[space$element[block$at[1L]]]] else space$start
  is.matrix(element) && nrow(element) > 1L
}

em_no_covariance <- function(m, name, inside) {
  slack <- if (inside) 1e-8 else 1e-6
  # correlations, so that units do not matter
  unit <- ifelse(diag(m) > 0, 1 / sqrt(pmax(diag(m), 0)), 0)
  r <- m * outer(unit, unit)
  if (any(diag(m) < 0)) return(sprintf("%s must be a covariance matrix, and has a variance of %s", name,
                                       format(min(diag(m)), digits = 7L)))
  if (max(abs(r - t(r))) > slack) return(sprintf("%s must be symmetric, and is not", name))
  if (!inside) diag(r) <- diag(r) + slack
  if (inherits(try(chol(r), silent = TRUE), "try-error")) {
    sprintf("%s must be positive %sdefinite, and is not", name, if (inside) "" else "semi")
  }
}

# Coordinates without the parameters that lie on the boundary of their space, where there are none: list(layout,
# boundary = flat positions that are held). `objective` of flat parameters: a parameter that may go to its bound, and not
# all the way to the other, without lowering it is at the bound, however slowly EM goes there.
em_interior <- function(space, flat, objective, edge = 1e-10) {
  here <- objective(flat)
  level <- function(i, v, b) {
    moved <- replace(flat, i, v)
    if (b$transform == "simplex") moved[b$at] <- moved[b$at] / sum(moved[b$at])
    objective(moved) >= here - 1e-5
  }
  drifts <- function(i, b) {
    v <- flat[i]
    isTRUE(switch(b$transform,
      positive = level(i, 1e-8 * v, b) && !level(i, 1e8 * v, b),
      simplex = v < 1e-3 && level(i, 1e-8 * v, b) && !level(i, 0.5, b),
      probability = (v < 1e-3 && level(i, 1e-8 * v, b) && !level(i, 0.5, b)) ||
        (v > 0.999 && level(i, 1 - 1e-8 * (1 - v), b) && !level(i, 0.5, b)),
      FALSE))
  }
  boundary <- integer()
  layout <- list()
  for (b in space$layout) {
    v <- flat[b$at]
    at_edge <- switch(b$transform,
      positive = v < 1e-300, probability = v < edge | v > 1 - edge, simplex = v < edge,
      covariance = rep(is.null(em_pack_(list(b), flat)), length(v)), rep(FALSE, length(v)))
    if (is.finite(here)) at_edge[!at_edge] <- vapply(b$at[!at_edge], drifts, NA, b = b)
    boundary <- c(boundary, b$at[at_edge])
    b$at <- b$at[!at_edge]
    if (b$transform == "simplex" && length(b$at) == 1L) {
      boundary <- c(boundary, b$at)
      next
    }
    if (length(b$at) > 0L) layout <- c(layout, list(b))
  }
  list(layout = layout, boundary = boundary)
}
