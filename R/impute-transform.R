# Transformations of single variables with their exact inverses. A step is list(name, forward, inverse, domain, range,
# increasing): `domain` are the values it takes, `range` the values it gives, and in between it is strictly monotone.
# Imputations are drawn within `range` and come back through `inverse`, so that nothing is lost or shifted on the way.

new_step <- function(name, forward, inverse, domain = c(-Inf, Inf), range = c(-Inf, Inf), increasing = TRUE) {
  list(name = name, forward = forward, inverse = inverse, domain = domain, range = range, increasing = increasing)
}

# The transformations that have a name. "log_shift" depends on the data, see named_step().
transform_steps <- function() {
  list(
    identity = new_step("identity", identity, identity),
    log = new_step("log", log, exp, c(0, Inf)),
    log2 = new_step("log2", log2, function(z) 2^z, c(0, Inf)),
    log10 = new_step("log10", log10, function(z) 10^z, c(0, Inf)),
    log1p = new_step("log1p", log1p, expm1, c(-1, Inf)),
    sqrt = new_step("sqrt", sqrt, function(z) z^2, c(0, Inf), c(0, Inf)),
    square = new_step("square", function(x) x^2, sqrt, c(0, Inf), c(0, Inf)),
    exp = new_step("exp", exp, log, range = c(0, Inf)),
    expm1 = new_step("expm1", expm1, log1p, range = c(-1, Inf)),
    logit = new_step("logit", stats::qlogis, stats::plogis, c(0, 1)),
    qlogis = new_step("qlogis", stats::qlogis, stats::plogis, c(0, 1)),
    plogis = new_step("plogis", stats::plogis, stats::qlogis, range = c(0, 1)),
    qnorm = new_step("qnorm", stats::qnorm, stats::pnorm, c(0, 1)),
    asinh = new_step("asinh", asinh, sinh),
    sinh = new_step("sinh", sinh, asinh),
    reciprocal = new_step("reciprocal", function(x) 1 / x, function(z) 1 / z, c(0, Inf), c(0, Inf), FALSE)
  )
}

# log(x - min(x) + 1), so that columns with values of any sign have a logarithm.
log_shift_step <- function(x) {
  shift <- min(x, na.rm = TRUE) - 1
  new_step("log_shift", function(x) log(x - shift), function(z) exp(z) + shift, c(shift, Inf))
}

# outer(inner(x)). The range is what the outer step makes of the values that the inner gives and the outer takes.
compose_steps <- function(outer, inner) {
  overlap <- c(max(inner$range[1L], outer$domain[1L]), min(inner$range[2L], outer$domain[2L]))
  force(outer)
  force(inner)
  new_step(
    if (inner$name == "identity") outer$name else paste0(outer$name, " of ", inner$name),
    function(x) outer$forward(inner$forward(x)), function(z) inner$inverse(outer$inverse(z)),
    sort(suppressWarnings(inner$inverse(overlap))), sort(suppressWarnings(outer$forward(overlap))),
    outer$increasing == inner$increasing
  )
}

# A power x^k with its sign rules: odd whole powers take any value, the others only those that are not negative.
power_step <- function(k) {
  if (!is.finite(k) || k == 0) return(NULL)
  name <- paste0("power ", format(k))
  if (k > 0 && k %% 2 == 1) {
    return(new_step(name, function(x) x^k, function(z) sign(z) * abs(z)^(1 / k)))
  }
  new_step(name, function(x) x^k, function(z) z^(1 / k), c(0, Inf), c(0, Inf), k > 0)
}

# a + b x
linear_step <- function(a, b) {
  if (!is.finite(a) || !is.finite(b) || b == 0) return(NULL)
  new_step("linear", function(x) a + b * x, function(z) (z - a) / b, increasing = b > 0)
}

# The step of an expression in one variable, or NULL when it has no inverse that we know: list(variable, step).
expression_step <- function(expr, env) {
  if (is.name(expr)) return(list(variable = as.character(expr), step = transform_steps()$identity))
  if (!is.call(expr) || !is.name(expr[[1L]])) return(NULL)
  fun <- as.character(expr[[1L]])
  if (fun %in% c("(", "I")) return(expression_step(expr[[2L]], env))
  # Arithmetic with a constant on one side.
  constant <- function(e) {
    if (length(all.vars(e)) > 0L && !all(all.vars(e) == "pi")) return(NULL)
    value <- tryCatch(eval(e, env), error = function(err) NULL)
    if (is.numeric(value) && length(value) == 1L) value else NULL
  }
  wrap <- function(inner, step) {
    inner <- expression_step(inner, env)
    if (is.null(inner) || is.null(step)) return(NULL)
    list(variable = inner$variable, step = compose_steps(step, inner$step))
  }
  if (fun == "-" && length(expr) == 2L) return(wrap(expr[[2L]], linear_step(0, -1)))
  if (fun %in% c("+", "-", "*", "/", "^") && length(expr) == 3L) {
    left <- constant(expr[[2L]])
    right <- constant(expr[[3L]])
    if (is.null(left) == is.null(right)) return(NULL)
    if (is.null(right)) {
      step <- switch(fun, "+" = linear_step(left, 1), "-" = linear_step(left, -1), "*" = linear_step(0, left),
                     "/" = compose_steps(linear_step(0, left), transform_steps()$reciprocal),
                     "^" = if (left > 0 && left != 1) {
                       new_step("exponential", function(x) left^x, function(z) log(z) / log(left),
                                range = c(0, Inf), increasing = left > 1)
                     })
      return(wrap(expr[[3L]], step))
    }
    step <- switch(fun, "+" = linear_step(right, 1), "-" = linear_step(-right, 1), "*" = linear_step(0, right),
                   "/" = linear_step(0, 1 / right), "^" = power_step(right))
    return(wrap(expr[[2L]], step))
  }
  if (fun == "log" && length(expr) == 3L) {
    base <- constant(expr[[3L]])
    if (is.null(base) || base <= 0 || base == 1) return(NULL)
    return(wrap(expr[[2L]], new_step("log", function(x) log(x) / log(base), function(z) base^z, c(0, Inf),
                                     increasing = base > 1)))
  }
  steps <- transform_steps()
  if (fun %in% names(steps) && length(expr) == 2L) return(wrap(expr[[2L]], steps[[fun]]))
  NULL
}

# The step that a user asks for in `transform`: a name, or list(forward = , inverse = ). `x`: the column as numbers.
named_step <- function(transform, name, x) {
  if (is.list(transform) && !is.null(transform$domain) && is.function(transform$forward)) return(transform)
  if (is.list(transform)) {
    if (is.null(names(transform)) && length(transform) == 2L) names(transform) <- c("forward", "inverse")
    if (!is.function(transform$forward) || !is.function(transform$inverse)) {
      em_abort(sprintf("`transform$%s` must be the name of a transformation or list(forward = , inverse = ).", name),
               "transform", column = name)
    }
    return(custom_step(transform$forward, transform$inverse, name, x))
  }
  known <- c(names(transform_steps()), "log_shift")
  if (!is.character(transform) || length(transform) != 1L || !transform %in% known) {
    em_abort(sprintf("`transform$%s` must be one of %s, or list(forward = , inverse = ), not %s.", name,
                     paste(dQuote(known, FALSE), collapse = ", "), describe_value(transform)), "transform",
             column = name)
  }
  if (transform == "log_shift") log_shift_step(x) else transform_steps()[[transform]]
}

# A user's own pair of functions: they must be each other's inverse, and monotone, on the values that are there.
custom_step <- function(forward, inverse, name, x) {
  x <- sort(unique(x[!is.na(x)]))
  z <- as.double(forward(x))
  back <- as.double(inverse(z))
  if (length(z) != length(x) || anyNA(z) || any(!is.finite(z))) {
    em_abort(sprintf("`transform$%s`: forward() does not give a finite number for every observed value.", name),
             "transform", column = name)
  }
  slack <- 1e-6 * max(abs(x), stats::sd(x), na.rm = TRUE)
  if (length(back) != length(x) || anyNA(back) || max(abs(back - x)) > slack) {
    em_abort(sprintf("`transform$%s`: inverse(forward(x)) is not x for the observed values.", name), "transform",
             column = name)
  }
  steps <- diff(z)
  if (!all(steps > 0) && !all(steps < 0)) {
    em_abort(sprintf("`transform$%s`: forward() must be strictly increasing or decreasing.", name), "transform",
             column = name)
  }
  new_step("custom", forward, inverse, increasing = length(steps) == 0L || steps[1L] > 0)
}

# Transformed values; an observed value that the step cannot take is an error that names its row.
apply_step <- function(step, x, name, what = "Column") {
  z <- suppressWarnings(as.double(step$forward(x)))
  bad <- which(!is.na(x) & (!is.finite(z) | x < step$domain[1L] | x > step$domain[2L]))
  if (length(bad) > 0L) {
    remedy <- if (step$name %in% c("log", "log2", "log10", "log1p")) " \"log_shift\" takes any values." else ""
    em_abort(sprintf("%s %s cannot be transformed by %s: the value of row %d is %s.%s", what, dQuote(name, FALSE),
                     step$name, bad[1L], format(x[bad[1L]]), remedy), "transform", column = name, row = bad[1L])
  }
  z
}

# Limits on the scale of the data as limits on the model's scale, within what the step gives.
step_limits <- function(step, limits) {
  inside <- pmin(pmax(limits, step$domain[1L]), step$domain[2L])
  z <- suppressWarnings(as.double(step$forward(inside)))
  z[limits == -Inf] <- if (step$increasing) step$range[1L] else step$range[2L]
  z[limits == Inf] <- if (step$increasing) step$range[2L] else step$range[1L]
  z <- sort(z)
  c(max(z[1L], step$range[1L]), min(z[2L], step$range[2L]))
}
