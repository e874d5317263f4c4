package sweep

import (
	"github.com/google/uuid"

	"decayctl/internal/store"
)

// retractions makes ids for the retraction log: retract_ and a UUIDv7, so that the index on them grows at its end. RFC 9562
// leaves 62 bits free. The last 48 are the job's tag, by which an undo knows the job's rows. The first 14 are the
// worker's number: the time part is unique within one process only.
type retractions struct {
	tag    string
	worker uint16
}

func retractionsOf(in store.Joined) retractions {
	return retractions{tag: in.Job.Tag(), worker: uint16(in.Lease.Worker & 0x3fff)} //nolint:gosec // fourteen bits
}

func (r retractions) next() string {
	id := uuid.Must(uuid.NewV7())
	id[8], id[9] = 0x80|byte(r.worker>>8), byte(r.worker)
	text := id.String()
	return "retract_" + text[:len(text)-len(r.tag)] + r.tag
}
