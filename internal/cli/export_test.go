package cli

import "time"

// CompleteWithin gives completions in this process more time: values of a busy machine's stores come late.
func CompleteWithin(d time.Duration) { completeWithin = d }
