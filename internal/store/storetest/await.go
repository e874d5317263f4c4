package storetest

import "time"

// Await asks until the answer is yes. It pauses between questions: a loop without pauses takes a processor from the
// process that the test waits for.
func Await(so func() bool) {
	const pause = 5 * time.Millisecond
	for !so() {
		time.Sleep(pause)
	}
}
