package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/author"
)

// jobs are the jobs of a service, while it runs. They are kept in memory: when the process
// dies, the letters themselves show how far a job was. A further job takes the rest.
type jobs struct {
	mu      sync.Mutex
	ctx     context.Context // of the jobs; nil: the service does not run
	all     []*job          // oldest first
	running sync.WaitGroup
}

var (
	// ErrBusy is returned when MaxJobs jobs have not ended.
	ErrBusy = fmt.Errorf("%d jobs have not ended", MaxJobs)

	// ErrTooMany is returned when more dead letters are selected than expected.
	ErrTooMany = errors.New("more dead letters match than expected")

	// ErrJobEnded is returned when a job has ended, or was stopped.
	ErrJobEnded = errors.New("the job has ended")

	// ErrNotRunning is returned when the service does not run.
	ErrNotRunning = errors.New("the service does not run")
)

// open lets jobs start until close is called, which ends them and waits for them.
func (j *jobs) open(ctx context.Context) (close func()) {
	ctx, cancel := context.WithCancel(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ctx = ctx
	return func() {
		j.mu.Lock()
		j.ctx = nil
		j.mu.Unlock()
		cancel()
		j.running.Wait()
	}
}

// start starts the job unless too many have not ended.
func (j *jobs) start(started *job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx == nil && !started.job.Ended() {
		return ErrNotRunning
	}
	active := 0
	for _, other := range j.all {
		if !other.snapshot().Ended() {
			active++
		}
	}
	if active >= MaxJobs {
		return ErrBusy
	}
	if len(j.all) >= keptJobs {
		oldest := slices.IndexFunc(j.all, func(other *job) bool { return other.job.DryRun }) // says nothing any more
		if oldest < 0 {
			oldest = slices.IndexFunc(j.all, func(other *job) bool { return other.snapshot().Ended() })
		}
		j.all = slices.Delete(j.all, oldest, oldest+1)
	}
	j.all = append(j.all, started)
	if !started.job.Ended() {
		ctx := j.ctx
		j.running.Go(func() { started.run(ctx) })
	}
	return nil
}

func (j *jobs) find(id string) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, found := range j.all {
		if found.job.ID == id { // never changes
			return found, nil
		}
	}
	return nil, fmt.Errorf("find job %q: %w", id, ports.ErrNotFound)
}

// StartJob starts a job that decides about the selected dead letters: those that are there
// now, and no more than there are now. A dry run counts them, and has ended.
//
// [ErrBusy], [ErrTooMany] and [ErrNotRunning] are returned when the job does not start.
func (s *Service) StartJob(ctx context.Context, request JobRequest) (Job, error) {
	request.By = author.Clean(request.By)
	request.Rate = min(max(cmp.Or(request.Rate, DefaultJobRate), 1), MaxJobRate)
	started := &job{service: s, changed: make(chan struct{}), job: Job{
		ID: uuid.NewString(), JobRequest: request, State: JobRunning, StartedAt: domain.TruncateTime(time.Now()),
	}}
	var err error
	if started.query, err = request.Query(request.Action); err != nil {
		return Job{}, err
	}
	if len(request.IDs) > 0 {
		started.ids = request.UniqueIDs()
		started.job.Total = len(started.ids)
	} else if started.job.Total, err = s.count(ctx, started.query); err != nil {
		return Job{}, err
	}
	if request.Expect != nil && started.job.Total > *request.Expect {
		return Job{}, fmt.Errorf("%w: %d instead of %d", ErrTooMany, started.job.Total, *request.Expect)
	}
	if request.DryRun {
		started.job.State, started.job.EndedAt = JobDone, started.job.StartedAt
	}
	if started.begun, err = s.Begin(ctx, request.Decision, request.Selection); err != nil {
		return Job{}, err
	}
	now := started.job
	if err := s.jobs.start(started); err != nil {
		started.begun.End(ctx, err)
		return Job{}, err
	}
	s.log.InfoContext(ctx, "job started", "job", now.ID, "decision", string(now.Action), "by", now.By, "dry_run", now.DryRun, "total", now.Total, "rate", now.Rate)
	return now, nil
}

// count returns how many dead letters match the query.
func (s *Service) count(ctx context.Context, query ports.DeadLetterQuery) (int, error) {
	groups, err := s.Groups(ctx, query)
	return groups.Total, err
}

// Jobs returns the latest jobs, newest first.
func (s *Service) Jobs() []Job {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	all := make([]Job, 0, len(s.jobs.all))
	for _, j := range slices.Backward(s.jobs.all) {
		all = append(all, j.snapshot())
	}
	return all
}

// Job returns the job with this id, or [ports.ErrNotFound].
func (s *Service) Job(id string) (Job, error) {
	found, err := s.jobs.find(id)
	if err != nil {
		return Job{}, err
	}
	return found.snapshot(), nil
}

// PauseJob pauses the job: it decides about nothing more until it is resumed. The errors are
// those of Job, and [ErrJobEnded].
func (s *Service) PauseJob(ctx context.Context, id, by string) (Job, error) {
	return s.controlJob(ctx, id, JobPaused, by)
}

// ResumeJob lets a paused job go on. The errors are those of PauseJob.
func (s *Service) ResumeJob(ctx context.Context, id, by string) (Job, error) {
	return s.controlJob(ctx, id, JobRunning, by)
}

// StopJob ends the job. What it has done stays. The errors are those of PauseJob.
func (s *Service) StopJob(ctx context.Context, id, by string) (Job, error) {
	return s.controlJob(ctx, id, JobStopped, by)
}

func (s *Service) controlJob(ctx context.Context, id string, state JobState, by string) (Job, error) {
	found, err := s.jobs.find(id)
	if err != nil {
		return Job{}, err
	}
	by = author.Clean(by)
	now, err := found.control(state, by)
	if err == nil {
		s.log.InfoContext(ctx, "job changed", "job", id, "state", string(state), "by", by)
	}
	return now, err
}
