# For the tests of plots.

# Evaluates on a throw-away device; returns what par() lost, if anything, and whether a page was drawn.
drawn <- function(code, width = 7, height = 6) {
  file <- tempfile(fileext = ".pdf")
  grDevices::pdf(file, width, height)
  on.exit({
    grDevices::dev.off()
    unlink(file)
  })
  before <- graphics::par(no.readonly = TRUE)
  force(code)
  after <- graphics::par(no.readonly = TRUE)
  changed <- names(before)[!mapply(identical, before, after)]
  # what every plot sets: the coordinates of its last panel
  setdiff(changed, c("usr", "xaxp", "yaxp", "ylog", "new", "page"))
}
