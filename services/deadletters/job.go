package deadletters

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
)

// JobRequest asks for a decision about dead letters that is carried out at a bounded rate.
type JobRequest struct {
	Decision
	Selection

	Rate int // dead letters a second, 1 to MaxJobRate; 0: DefaultJobRate

	// Expect is how many the operator expects. If more are selected, the job does not start.
	Expect *int // nil: any number
}

// Bounds of jobs.
const (
	DefaultJobRate = 50
	MaxJobRate     = 1000
	MaxJobs        = 4  // that have not ended
	keptJobs       = 20 // that are listed
)

// JobState is the state of a job.
type JobState string

const (
	JobRunning JobState = "running"
	JobPaused  JobState = "paused"
	JobStopped JobState = "stopped" // by an operator, or with the service
	JobDone    JobState = "done"
	JobFailed  JobState = "failed" // the dead letters could not be listed
)

// Job is how far a job is. Each dead letter counts in one of Done, Skipped and Failed, once
// it was looked at.
type Job struct {
	ID string
	JobRequest
	State     JobState
	StartedAt time.Time // UTC, to the millisecond, as EndedAt
	EndedAt   time.Time // zero until then

	Total      int // that were selected at the start; the job takes no more
	Done       int
	Skipped    int    // somebody has decided about them meanwhile
	Failed     int    // they are as they were
	FirstError string // of those that failed, or of the job
	Stalled    string // why nothing moves now; empty: it does
}

// Ended reports whether nothing more happens.
func (j Job) Ended() bool { return j.State != JobRunning && j.State != JobPaused }

// job is a job that runs.
type job struct {
	service *Service
	ids     []string // that are selected; nil: those of the query
	query   ports.DeadLetterQuery
	begun   *Deciding // whose counts are the job's
	later   []string  // that are tried again after all others

	mu      sync.Mutex
	job     Job
	first   error // of the letters that failed
	stop    bool
	by      string        // who has stopped it
	changed chan struct{} // closed when an operator changes something
}

func (j *job) snapshot() Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.job
}

func (j *job) update(change func(*Job)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.job)
}

// control changes the job as an operator asks. [ErrJobEnded] is returned when it has ended.
func (j *job) control(state JobState, by string) (Job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.job.Ended() || j.stop {
		return j.job, ErrJobEnded
	}
	if state == JobStopped {
		j.stop, j.by = true, by
	} else {
		j.job.State = state
	}
	close(j.changed)
	j.changed = make(chan struct{})
	return j.job, nil
}

// mayGoOn waits while the job is paused. It reports false once the job was stopped, or ctx
// has ended.
func (j *job) mayGoOn(ctx context.Context) bool {
	for {
		j.mu.Lock()
		paused, stop, changed := j.job.State == JobPaused, j.stop, j.changed
		j.mu.Unlock()
		if stop || ctx.Err() != nil {
			return false
		}
		if !paused {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// errStopped is returned when the job was stopped.
var errStopped = errors.New("stopped")

// run carries the job out.
func (j *job) run(ctx context.Context) {
	err := j.carryOut(ctx)
	j.update(func(job *Job) {
		job.EndedAt, job.Stalled = domain.TruncateTime(time.Now()), ""
		switch {
		case err == nil:
			job.State = JobDone
		case errors.Is(err, errStopped):
			job.State = JobStopped
		default:
			job.State = JobFailed
			job.note(err)
		}
	})
	end := j.snapshot()
	j.begun.done, j.begun.failed, j.begun.first = end.Done, end.Failed, j.first
	if end.State == JobStopped {
		j.begun.endEarly(ctx, j.stopped(), end.Total)
	} else {
		j.begun.End(ctx, err)
	}
	j.service.log.InfoContext(ctx, "job ended", "job", end.ID, "decision", string(end.Action), "by", end.By, "state", string(end.State),
		"total", end.Total, "done", end.Done, "skipped", end.Skipped, "failed", end.Failed)
}

// stopped says who has stopped the job.
func (j *job) stopped() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.stop {
		return "stopped with the service"
	}
	return "stopped by " + j.by
}

// note keeps the first error.
func (j *Job) note(err error) {
	if j.FirstError == "" {
		j.FirstError = mask.Error(err).Error()
	}
}

// carryOut decides about the selected letters, the oldest first. A replayed letter that fails
// again keeps its place in the list, so the job does not meet it again. Letters that are out of
// reach come last: a queue that does not exist holds up no others.
func (j *job) carryOut(ctx context.Context) error {
	start := j.snapshot()
	// Some letters at once, several times a second: so a stop or a pause takes effect soon.
	batch := min(max(start.Rate/4, 1), 100)
	limiter := rate.NewLimiter(rate.Limit(start.Rate), batch)
	if j.ids != nil {
		if err := j.decide(ctx, limiter, batch, j.ids); err != nil {
			return err
		}
		return j.decideLater(ctx, limiter, batch)
	}
	query := j.query
	query.Limit = listedAtOnce
	for left := start.Total; left > 0; {
		page, err := j.list(ctx, query)
		if err != nil {
			return err
		}
		ids := make([]string, 0, len(page.Records))
		for _, record := range page.Records[:min(len(page.Records), left)] {
			ids = append(ids, record.ID)
		}
		if err := j.decide(ctx, limiter, batch, ids); err != nil {
			return err
		}
		if left -= len(ids); page.Unreadable > 0 && left > 0 {
			unreadable := min(page.Unreadable, left)
			left -= unreadable
			j.update(func(job *Job) {
				job.Failed += unreadable
				j.first = cmp.Or(j.first, errUnreadable)
				job.note(errUnreadable)
			})
		}
		if page.NextCursor == "" {
			break
		}
		query.Cursor = page.NextCursor
	}
	return j.decideLater(ctx, limiter, batch)
}

// decideLater decides about the letters that were out of reach, until none is.
func (j *job) decideLater(ctx context.Context, limiter *rate.Limiter, batch int) error {
	for len(j.later) > 0 {
		ids := j.later
		j.later = nil
		if err := j.decide(ctx, limiter, batch, ids); err != nil {
			return err
		}
	}
	return nil
}

const listedAtOnce = 500

var errUnreadable = errors.New("a dead letter can't be read; the log has its id")

// list returns a page. It waits while the store does not answer.
func (j *job) list(ctx context.Context, query ports.DeadLetterQuery) (page ports.DeadLetterPage, err error) {
	for {
		if !j.mayGoOn(ctx) {
			return page, errStopped
		}
		if page, err = j.service.List(ctx, query); !errors.Is(err, ports.ErrUnavailable) {
			if ctx.Err() != nil {
				err = errStopped
			}
			return page, err
		}
		j.wait(ctx, err)
	}
}

// decide decides about the letters in batches, but leaves for later those that are out of
// reach. While the store or the broker does not answer it waits: that is no fault of the
// letters.
func (j *job) decide(ctx context.Context, limiter *rate.Limiter, batch int, ids []string) error {
	for len(ids) > 0 {
		now := ids[:min(batch, len(ids))]
		j.sleep(ctx, limiter.ReserveN(time.Now(), len(now)).Delay())
		if !j.mayGoOn(ctx) {
			return errStopped
		}
		ids = ids[len(now):]
		reached := false
		var outage error
		errs := j.service.decideAll(ctx, j.begun.decision, now)
		j.update(func(job *Job) {
			for i, err := range errs {
				switch {
				case err == nil:
					job.Done++
				case errors.Is(err, ErrWrongState), errors.Is(err, ports.ErrChanged), errors.Is(err, ports.ErrNotFound):
					job.Skipped++
				case errors.Is(err, ports.ErrUnavailable) && !errors.Is(err, ErrNotRecorded), ctx.Err() != nil:
					outage = err
					j.later = append(j.later, now[i])
					continue
				default:
					job.Failed++
					j.first = cmp.Or(j.first, err)
					job.note(err)
				}
				reached = true
			}
			if reached {
				job.Stalled = ""
			}
		})
		if !reached {
			j.wait(ctx, outage)
		}
	}
	return nil
}

// outagePause is the time between two tries while the store or the broker does not answer.
const outagePause = 5 * time.Second

// wait shows the outage, and waits for a while.
func (j *job) wait(ctx context.Context, outage error) {
	j.update(func(job *Job) { job.Stalled = mask.Error(outage).Error() })
	j.sleep(ctx, outagePause)
}

// sleep waits for d, or until the job was changed or ctx ends.
func (j *job) sleep(ctx context.Context, d time.Duration) {
	j.mu.Lock()
	changed := j.changed
	j.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}
