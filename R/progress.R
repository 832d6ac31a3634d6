# A progress bar for long work: a function (done, total, iterations) for the C++ side to call now and then, or NULL for
# none. cli shows it after two seconds; it goes away when the function that asked for it ends.
progress_display <- function(control, what, env = parent.frame()) {
  if (!control$progress) return(NULL)
  force(env)
  id <- cli::cli_progress_bar(
    format = paste0("{cli::pb_spin} {cli::pb_current} of {cli::pb_total} ", what, ", {cli::pb_status} ",
                    "[{cli::pb_elapsed}]"),
    total = NA, clear = TRUE, auto_terminate = FALSE, .envir = env
  )
  function(done, total, iterations) {
    cli::cli_progress_update(set = done, total = total, id = id, .envir = env,
                             status = paste(format(iterations, big.mark = ","), "iterations"))
  }
}
