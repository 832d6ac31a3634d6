# Every error and warning of the package goes through these two, so that each has a class that a
# program can catch: em_error_<class> or em_warning_<class>, and the parents em_error, em_warning and
# em_condition.

em_condition <- function(kind, class, message, call, fields) {
  parents <- c(paste0("em_", kind), "em_condition", kind, "condition")
  structure(
    class = c(paste0("em_", kind, "_", class), parents),
    c(list(message = message, call = call), fields)
  )
}

# Stops. `class` says what was wrong in one word; the message says what, where and what to do.
em_abort <- function(message, class, ..., call = NULL) {
  stop(em_condition("error", class, message, call, list(...)))
}

# Warns, likewise.
em_warn <- function(message, class, ..., call = NULL) {
  warning(em_condition("warning", class, message, call, list(...)))
}

# Informs by a message with a class, em_message_<class>, which suppressMessages() silences.
em_inform <- function(message, class, ...) {
  message(em_condition("message", class, paste0(message, "\n"), NULL, list(...)))
}
