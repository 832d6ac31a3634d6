# Checks of arguments: each returns the value in the type that the package works with, or stops with
# a message that names the argument, what it must be and what came.

# What came, in a few words.
describe_value <- function(x) {
  if (is.null(x)) return("NULL")
  if (is.atomic(x) && length(x) == 1L) return(if (is.character(x)) dQuote(x, FALSE) else format(x))
  if (is.atomic(x)) {
    return(paste0(if (typeof(x) == "integer") "an " else "a ", typeof(x), " vector of length ", length(x)))
  }
  paste0("an object of class ", paste(dQuote(class(x), FALSE), collapse = "/"))
}

check_fails <- function(name, required, x, class = "argument") {
  em_abort(sprintf("`%s` must be %s, not %s.", name, required, describe_value(x)), class, argument = name)
}

check_number <- function(x, name, lowest = -Inf, highest = Inf, required = NULL) {
  if (is.null(required)) required <- sprintf("one number between %s and %s", lowest, highest)
  fine <- is.numeric(x) && length(x) == 1L && !is.na(x) && x >= lowest && x <= highest
  if (!fine) check_fails(name, required, x)
  as.double(x)
}

check_count <- function(x, name, lowest = 1L, highest = .Machine$integer.max) {
  required <- sprintf("one whole number, at least %d", lowest)
  fine <- is.numeric(x) && length(x) == 1L && !is.na(x) && x >= lowest && x <= highest && x == floor(x)
  if (!fine) check_fails(name, required, x)
  as.integer(x)
}

check_flag <- function(x, name) {
  if (!is.logical(x) || length(x) != 1L || is.na(x)) check_fails(name, "TRUE or FALSE", x)
  x
}

check_choice <- function(x, name, choices) {
  if (identical(x, choices)) return(choices[1L])
  if (!is.character(x) || length(x) != 1L || is.na(x) || !x %in% choices) {
    check_fails(name, paste("one of", paste(dQuote(choices, FALSE), collapse = ", ")), x)
  }
  x
}

# Nothing may be left in the dots of a public function.
check_dots_empty <- function(..., .function) {
  if (...length() == 0L) return(invisible())
  names <- ...names()
  if (is.null(names)) names <- rep("", ...length())
  shown <- ifelse(is.na(names) | names == "", "an unnamed argument", paste0("`", names, "`"))
  em_abort(
    sprintf("%s() does not know %s. Check the spelling; see ?%s.", .function,
            paste(shown, collapse = ", "), .function),
    "unused_argument", arguments = names
  )
}

# Observation weights: NULL, or n finite numbers that are not negative and not all zero.
check_weights <- function(weights, n) {
  if (is.null(weights)) return(NULL)
  if (!is.numeric(weights) || is.matrix(weights) || is.list(weights)) {
    check_fails("weights", "a numeric vector", weights, "weights")
  }
  if (length(weights) != n) {
    em_abort(sprintf("`weights` must have one value for each of the %d rows, not %d values.", n,
                     length(weights)), "weights")
  }
  bad <- which(!is.finite(weights) | weights < 0)
  if (length(bad) > 0L) {
    em_abort(sprintf("`weights` must be finite and not negative; weights[%d] is %s.", bad[1L],
                     format(weights[bad[1L]])), "weights")
  }
  if (!any(weights > 0)) em_abort("`weights` are all zero: no row has a say.", "weights")
  as.double(weights)
}

# Labels of rows whose component or state is known: list(labels = n numbers, NA where not known; names = those of the
# components, or NULL when they have numbers only). `required`: what they may be, in words.
known_labels <- function(known, n, required) {
  names <- NULL
  if (is.character(known)) known <- factor(known)
  if (is.factor(known)) {
    names <- levels(known)
    known <- as.integer(known)
  }
  if (!is.numeric(known) && !(is.logical(known) && all(is.na(known)))) check_fails("known", required, known, "known")
  if (length(known) != n) {
    em_abort(sprintf("`known` must have one value for each of the %s rows, not %s.", format_count(n),
                     count_of(length(known), "value")), "known")
  }
  list(labels = known, names = names)
}

# How many components or states the names in `known` are; NULL for numbers, of which there may be more.
number_of_names <- function(known) {
  if (is.character(known)) known <- factor(known)
  if (is.factor(known) && nlevels(known) > 0L) nlevels(known)
}
