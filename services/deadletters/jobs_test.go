package deadletters_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/deadletters"
)

// shaky is a queue that counts replays, and can be out of reach.
type shaky struct {
	ports.DeadLetterQueue
	mu       sync.Mutex
	err      error // of each replay, or of some
	only     string
	replayed []string
}

func (q *shaky) Replay(_ context.Context, letter ports.DeadLetter) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil && (q.only == "" || q.only == letter.ID) {
		return q.err
	}
	q.replayed = append(q.replayed, letter.ID)
	return nil
}

func (q *shaky) fail(err error, only string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err, q.only = err, only
}

func (q *shaky) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.replayed)
}

// jobWorld is a service that runs, with dead letters, in a bubble of synctest.
type jobWorld struct {
	*testing.T
	store   *memory.DeadLetters
	actions *memory.OperatorActions
	queue   *shaky
	service *deadletters.Service
	stop    func()
}

func newJobWorld(t *testing.T, letters int) *jobWorld {
	t.Helper()
	w := &jobWorld{T: t, store: new(memory.DeadLetters), actions: new(memory.OperatorActions), queue: &shaky{DeadLetterQueue: (&memory.Broker{Logger: discard}).DeadLetterQueue()}}
	w.add(0, letters)
	var err error
	if w.service, err = deadletters.NewService(w.store, w.queue, w.actions, discard); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.service.Run(ctx) }()
	synctest.Wait()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func letterID(n int) string { return fmt.Sprintf("l%04d", n) }

// add adds dead letters, the later the higher their numbers.
func (w *jobWorld) add(from, count int) {
	w.Helper()
	for n := range count {
		at := time.Now().Add(time.Duration(from+n) * time.Millisecond)
		letter := ports.DeadLetter{ID: letterID(from + n), Failure: ports.Failure{Reason: fmt.Sprintf("reason %d", (from+n)%2), FirstFailure: at, LastFailure: at}}
		if err := w.store.Put(w.Context(), letter); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *jobWorld) start(request deadletters.JobRequest) deadletters.Job {
	w.Helper()
	job, err := w.service.StartJob(w.Context(), request)
	if err != nil {
		w.Fatal(err)
	}
	return job
}

// check compares the job's numbers: total, done, skipped, failed.
func (w *jobWorld) check(id string, state deadletters.JobState, want ...int) deadletters.Job {
	w.Helper()
	job, err := w.service.Job(id)
	if err != nil {
		w.Fatal(err)
	}
	if diff := cmp.Diff(want, []int{job.Total, job.Done, job.Skipped, job.Failed}); diff != "" || job.State != state {
		w.Errorf("job is %s, want %s (-want +got):\n%s\n%+v", job.State, state, diff, job)
	}
	return job
}

func (w *jobWorld) waiting() int {
	w.Helper()
	page, err := w.store.List(w.Context(), ports.DeadLetterQuery{State: ports.Waiting, Limit: ports.MaxListLimit})
	if err != nil {
		w.Fatal(err)
	}
	return len(page.Records)
}

func replayAll(rate int) deadletters.JobRequest {
	return deadletters.JobRequest{Decision: deadletters.Decision{Action: deadletters.Replay, By: "ann"}, Selection: deadletters.Selection{All: true}, Rate: rate}
}

// A job keeps to its rate, and takes what was there at its start.
func TestJobRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 1200)
		job := w.start(replayAll(100))
		w.add(1200, 5)
		time.Sleep(5 * time.Second)
		if n := w.queue.count(); n < 450 || n > 550 {
			t.Errorf("%d were replayed in 5 s, want about 500", n)
		}
		time.Sleep(8 * time.Second)
		done := w.check(job.ID, deadletters.JobDone, 1200, 1200, 0, 0)
		if done.EndedAt.IsZero() || w.waiting() != 5 {
			t.Errorf("%+v; %d letters wait, want 5", done, w.waiting())
		}
		record, err := w.store.Get(t.Context(), letterID(7))
		if err != nil || record.State != ports.Replayed || record.SettledBy != "ann" {
			t.Errorf("got %+v, %v, want one that ann has replayed", record, err)
		}
	})
}

// Letters that fail again at once come no second time in the same job.
func TestJobMeetsNoLetterTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		const letters = 30
		for n := range letters {
			order, err := domain.NewOrder(domain.OrderID(fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-%012d", n)), "123", "Laptop", 1, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.broker.Publisher().Publish(t.Context(), order.Created())...); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		job, err := f.service.StartJob(t.Context(), replayAll(10))
		if err != nil || job.Total != letters {
			t.Fatalf("got %+v, %v, want %d letters", job, err, letters)
		}
		time.Sleep(time.Minute)
		f.mu.Lock()
		handled := len(f.handled)
		f.mu.Unlock()
		if job, err = f.service.Job(job.ID); err != nil || job.State != deadletters.JobDone || job.Done != letters || handled != 2*letters {
			t.Errorf("got %+v, %v, want %d done; the events were handled %d times, want each twice", job, err, letters, handled)
		}
	})
}

func TestJobPauseResumeStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 100)
		job := w.start(replayAll(10))
		time.Sleep(2 * time.Second)
		if _, err := w.service.PauseJob(t.Context(), job.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		paused := w.queue.count()
		time.Sleep(time.Hour)
		if n := w.queue.count(); n != paused || n == 0 || n == 100 {
			t.Errorf("%d were replayed, and %d an hour later", paused, n)
		}
		w.check(job.ID, deadletters.JobPaused, 100, paused, 0, 0)
		if _, err := w.service.ResumeJob(t.Context(), job.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if _, err := w.service.StopJob(t.Context(), job.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		stopped := w.queue.count()
		if stopped <= paused || stopped+w.waiting() != 100 {
			t.Errorf("%d were replayed and %d wait, want 100 together, and more than %d", stopped, w.waiting(), paused)
		}
		w.check(job.ID, deadletters.JobStopped, 100, stopped, 0, 0)
		for _, change := range []func(context.Context, string, string) (deadletters.Job, error){w.service.PauseJob, w.service.ResumeJob, w.service.StopJob} {
			if _, err := change(t.Context(), job.ID, ""); !errors.Is(err, deadletters.ErrJobEnded) {
				t.Errorf("error %v, want ErrJobEnded", err)
			}
		}

		rest := w.start(replayAll(1000))
		time.Sleep(time.Second)
		w.check(rest.ID, deadletters.JobDone, 100-stopped, 100-stopped, 0, 0)
	})
}

// While the broker does not answer, the job waits, and no letter has failed.
func TestJobWaitsDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 20)
		w.queue.fail(fmt.Errorf("dial amqp://user:secret@host: %w", ports.ErrUnavailable), "")
		job := w.start(replayAll(10))
		time.Sleep(time.Hour)
		stalled := w.check(job.ID, deadletters.JobRunning, 20, 0, 0, 0)
		if !strings.Contains(stalled.Stalled, "unavailable") || strings.Contains(stalled.Stalled, "secret") {
			t.Errorf("it is stalled by %q, want the outage without secrets", stalled.Stalled)
		}
		w.queue.fail(nil, "")
		time.Sleep(time.Minute)
		if done := w.check(job.ID, deadletters.JobDone, 20, 20, 0, 0); done.Stalled != "" || done.FirstError != "" {
			t.Errorf("%+v, want no error", done)
		}
	})
}

// However often somebody counts, what became of a job can be seen.
func TestDryRunsMakeRoomForJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 1)
		job := w.start(replayAll(1))
		time.Sleep(time.Second)
		var latest deadletters.Job
		for range 30 {
			request := replayAll(1)
			request.DryRun = true
			latest = w.start(request)
		}
		w.check(job.ID, deadletters.JobDone, 1, 1, 0, 0)
		w.check(latest.ID, deadletters.JobDone, 0, 0, 0, 0)
		if n := len(w.service.Jobs()); n != 20 {
			t.Errorf("%d jobs are kept, want 20", n)
		}
	})
}

// A letter whose queue does not exist holds up no other.
func TestJobWithoutAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 600)
		w.queue.fail(fmt.Errorf("the queue of fax does not exist: %w", ports.ErrUnavailable), letterID(3))
		byFilter := w.start(replayAll(4)) // one at once
		time.Sleep(10 * time.Minute)
		if job := w.check(byFilter.ID, deadletters.JobRunning, 600, 599, 0, 0); !strings.Contains(job.Stalled, "fax") {
			t.Errorf("it is stalled by %q, want the queue", job.Stalled)
		}
		w.add(600, 3)
		request := replayAll(4)
		request.Selection = deadletters.Selection{IDs: []string{letterID(3), letterID(601), letterID(602)}}
		byID := w.start(request)
		time.Sleep(time.Minute)
		w.check(byID.ID, deadletters.JobRunning, 3, 2, 0, 0)
		if _, err := w.service.StopJob(t.Context(), byFilter.ID, "bob"); err != nil {
			t.Fatal(err)
		}
		w.queue.fail(nil, "")
		time.Sleep(time.Minute)
		w.check(byID.ID, deadletters.JobDone, 3, 3, 0, 0)
		w.check(byFilter.ID, deadletters.JobStopped, 600, 599, 0, 0)
	})
}

// A letter that can't be replayed stops no other; one that is settled already is skipped.
func TestJobFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 10)
		w.queue.fail(errors.New("too large"), letterID(3))
		settled, err := w.store.Get(t.Context(), letterID(4))
		if err != nil {
			t.Fatal(err)
		}
		request := replayAll(2)
		request.Selection = deadletters.Selection{IDs: []string{letterID(3), letterID(4), letterID(5), "unknown"}}
		job := w.start(request)
		if err := w.store.Settle(t.Context(), settled, ports.Discarded, "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if done := w.check(job.ID, deadletters.JobDone, 4, 1, 2, 1); done.FirstError != "too large" {
			t.Errorf("first error %q", done.FirstError)
		}
	})
}

// Letters that can't be read count as failed. The store counts them among those that match.
func TestJobWithUnreadableLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 3)
		store := damaged{w.store}
		service := newService(t, store, w.queue, discard)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- service.Run(ctx) }()
		synctest.Wait()
		started, err := service.StartJob(t.Context(), replayAll(10))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		job, err := service.Job(started.ID)
		if err != nil || job.State != deadletters.JobDone || job.Total != 5 || job.Done != 3 || job.Failed != 2 || !strings.Contains(job.FirstError, "can't be read") {
			t.Errorf("got %+v, %v, want 3 replayed and 2 that have failed", job, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// An action has no personal data: a store's or broker's texts may name a user.
func TestJobRecordsNoUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 1)
		w.queue.fail(&ports.UnreadableError{ID: letterID(0), Field: "user_id", Reason: "is user-4711, which it was not"}, "")
		job := w.start(replayAll(10))
		time.Sleep(time.Minute)
		w.check(job.ID, deadletters.JobDone, 1, 0, 0, 1)
		page, err := w.actions.List(t.Context(), ports.OperatorActionQuery{})
		if err != nil || len(page.Actions) != 1 || !strings.Contains(page.Actions[0].Error, "1 of 1 dead letters could not be replayed") || strings.Contains(page.Actions[0].Error, "4711") {
			t.Errorf("got %+v, %v", page, err)
		}
	})
}

// damaged has two letters more, which can't be read.
type damaged struct{ *memory.DeadLetters }

func (d damaged) Groups(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterGroups, error) {
	groups, err := d.DeadLetters.Groups(ctx, query)
	groups.Total += 2
	return groups, err
}

func (d damaged) List(ctx context.Context, query ports.DeadLetterQuery) (ports.DeadLetterPage, error) {
	page, err := d.DeadLetters.List(ctx, query)
	page.Unreadable = 2
	return page, err
}

// When the service stops, its jobs do at once.
func TestJobStopsWithTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 100)
		running, paused := w.start(replayAll(1)), w.start(replayAll(1))
		if _, err := w.service.PauseJob(t.Context(), paused.ID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %v", took)
		}
		for _, id := range []string{running.ID, paused.ID} {
			if job, err := w.service.Job(id); err != nil || job.State != deadletters.JobStopped {
				t.Errorf("got %+v, %v, want a stopped job", job, err)
			}
		}
		if _, err := w.service.StartJob(t.Context(), replayAll(1)); !errors.Is(err, deadletters.ErrNotRunning) {
			t.Errorf("error %v, want ErrNotRunning", err)
		}
	})
}

func TestJobBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 1001)
		few := 1000
		request := replayAll(1)
		if request.Expect = &few; true {
			if _, err := w.service.StartJob(t.Context(), request); !errors.Is(err, deadletters.ErrTooMany) {
				t.Errorf("error %v, want ErrTooMany", err)
			}
		}
		request.Expect, request.DryRun = nil, true
		for range 50 {
			w.check(w.start(request).ID, deadletters.JobDone, 1001, 0, 0, 0)
		}
		if n := len(w.service.Jobs()); n != 20 || w.waiting() != 1000 { // the page is full
			t.Errorf("%d jobs are kept, want 20; dry runs changed something: %d", n, w.waiting())
		}
		var last deadletters.Job
		for range deadletters.MaxJobs {
			last = w.start(replayAll(1))
		}
		if _, err := w.service.StartJob(t.Context(), replayAll(1)); !errors.Is(err, deadletters.ErrBusy) {
			t.Errorf("error %v, want ErrBusy", err)
		}
		if jobs := w.service.Jobs(); jobs[0].ID != last.ID || len(jobs) != 20 {
			t.Errorf("%d jobs, the first %s, want 20, the newest first", len(jobs), jobs[0].ID)
		}
		if _, err := w.service.StopJob(t.Context(), last.ID, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.start(replayAll(1))
	})
}

func TestJobAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 3)
		h := newHandler(t, w.service)
		w.queue.fail(ports.ErrUnavailable, "") // so that they don't end
		const job = `"action":"replay","select":{"all":true},"state":"running","dry_run":false,"rate":50,"by":"http 192.0.2.1","started_at":"[^"]+","total":3,"done":0,"skipped":0,"failed":0`
		checkAnswers(t, h, []exchange{
			{"GET", "/dead-letters/jobs", "", nil, 200, `{"data":\[\],"has_more":false,"next_cursor":null}`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true}`, nil, 202, job},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"expect":2}`, nil, 409, `more dead letters match than expected: 3 instead of 2.*"code":"changed"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","reason":"reason 1","dry_run":true,"expect":1,"rate":7,"by":"bob"}`, nil, 202, `"select":{"reason":"reason 1"},"state":"done","dry_run":true,"rate":7,"by":"bob",.*"ended_at":"[^"]*","total":1`},
			{"POST", "/dead-letters/jobs", `{"action":"discard","order_id":"` + strings.ToUpper(orderID) + `"}`, nil, 202, `"select":{"order_id":"` + orderID + `"}`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","channel":"mail","type":"order.created","user_id":"ann","group":"x","since":"2026-11-23T10:00:00Z","until":"2026-11-24T10:00:00Z","why":"mended","dry_run":true}`, nil, 202,
				`"select":{"channel":"mail","type":"order.created","user_id":"ann","group":"x","since":"2026-11-23T10:00:00Z","until":"2026-11-24T10:00:00Z"},"state":"done".*"total":0`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","since":"yesterday"}`, nil, 422, `"field":"since"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","channel":""}`, nil, 422, `"field":"channel"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"channel":"mail"}`, nil, 422, `"field":"ids"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","ids":["a","b"],"dry_run":true}`, nil, 202, `"select":{"ids":2}.*"total":2`},
			{"POST", "/dead-letters/jobs", `{"action":"delete","all":true}`, nil, 422, `"field":"action"`},
			{"POST", "/dead-letters/jobs", `{"all":true}`, nil, 422, `"field":"action","detail":"is missing"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay"}`, nil, 422, `"field":"ids"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":false}`, nil, 422, `"field":"ids"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"ids":["a"]}`, nil, 422, `"field":"ids"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"rate":0}`, nil, 422, `"field":"rate"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"rate":1001}`, nil, 422, `"field":"rate"`},
			{"POST", "/dead-letters/jobs", `{"action":"replay","all":true,"expect":-1}`, nil, 422, `"field":"expect"`},
			{"GET", "/dead-letters/jobs/x", "", nil, 404, `"code":"not_found"`},
			{"POST", "/dead-letters/jobs/x/pause", "", nil, 404, `"code":"not_found"`},
		})
		id := w.service.Jobs()[4].ID
		checkAnswers(t, h, []exchange{
			{"GET", "/dead-letters/jobs/" + id, "", nil, 200, job},
			{"POST", "/dead-letters/jobs/" + id + "/pause", "", nil, 200, `"state":"paused"`},
			{"POST", "/dead-letters/jobs/" + id + "/pause", `{"by":"bob"}`, nil, 200, `"state":"paused"`},
			{"POST", "/dead-letters/jobs/" + id + "/resume", `{"by":"bob"}`, nil, 200, `"state":"running"`},
			{"POST", "/dead-letters/jobs/" + id + "/pause", `{"by":""}`, nil, 422, `"field":"by"`},
			{"POST", "/dead-letters/jobs/" + id + "/resume", `{"x":""}`, nil, 422, `"field":"x"`},
			{"POST", "/dead-letters/jobs/" + id + "/stop", `{"by":""}`, nil, 422, `"field":"by"`},
			{"POST", "/dead-letters/jobs/" + id + "/stop", ``, nil, 200, `"id":"` + id},
			{"GET", "/dead-letters/jobs", "", nil, 200, `"has_more":false`},
		})
		synctest.Wait()
		for _, verb := range []string{"pause", "resume", "stop"} {
			checkAnswers(t, h, []exchange{{"POST", "/dead-letters/jobs/" + id + "/" + verb, "", nil, 409, `"code":"ended"`}})
		}

		for range deadletters.MaxJobs {
			request := replayAll(1)
			request.IDs, request.All = []string{"a", "b", "c"}, false
			w.start(request)
		}
		checkAnswers(t, h, []exchange{{"POST", "/dead-letters/jobs", `{"action":"replay","all":true}`, nil, 409, `"code":"busy"`}})
		w.stop()
		checkAnswers(t, h, []exchange{{"POST", "/dead-letters/jobs", `{"action":"replay","all":true}`, nil, 503, `"code":"unavailable"`}})
	})
}

// The view of a job that had troubles has them.
func TestJobView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 4)
		h := newHandler(t, w.service)
		w.queue.fail(errors.New("too large"), letterID(0))
		job := w.start(replayAll(1))
		time.Sleep(time.Second)
		w.queue.fail(ports.ErrUnavailable, "")
		time.Sleep(time.Minute)
		if status, body := ask(h, http.MethodGet, "/dead-letters/jobs/"+job.ID, ""); status != 200 || !strings.Contains(body, `"failed":1,"first_error":"too large","stalled":"unavailable"`) {
			t.Errorf("answered %d %s", status, body)
		}
	})
}

func TestJobThatCanNotCount(t *testing.T) {
	store := mocks.NewMockDeadLetters(gomock.NewController(t))
	store.EXPECT().Groups(gomock.Any(), gomock.Any()).Return(ports.DeadLetterGroups{}, errors.New("corrupt"))
	h := newHandler(t, newService(t, store, new(memory.Broker).DeadLetterQueue(), discard))
	checkAnswers(t, h, []exchange{{"POST", "/dead-letters/jobs", `{"action":"replay","all":true}`, nil, 500, `"code":"internal"`}})
}

// A job is one action: recorded before it does anything, and its end with what it has done. If
// the process dies in between, the outcome is not known, and the letters show how far it was.
func TestJobIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newJobWorld(t, 20)
		latest := func() ports.OperatorAction {
			t.Helper()
			page, err := w.actions.List(t.Context(), ports.OperatorActionQuery{Limit: 10})
			if err != nil || len(page.Actions) == 0 {
				t.Fatalf("got %+v, %v, want an action", page, err)
			}
			return page.Actions[0]
		}
		request := replayAll(10)
		request.DryRun = true
		w.start(request)
		if page, err := w.actions.List(t.Context(), ports.OperatorActionQuery{Limit: 10}); err != nil || len(page.Actions) > 0 {
			t.Errorf("got %+v, %v, want no record of a dry run", page, err)
		}

		request.DryRun, request.Why = false, "mended"
		w.queue.fail(ports.ErrUnavailable, "")
		job := w.start(request)
		if a := latest(); a.Outcome != ports.ActionUnknown || a.By != "ann" || a.Action != "replay" || a.Target != "all" || a.Reason != "mended" {
			t.Errorf("at the start the action is %+v", a)
		}
		time.Sleep(time.Minute) // an outage is no failure
		w.queue.fail(nil, "")
		time.Sleep(time.Minute)
		w.check(job.ID, deadletters.JobDone, 20, 20, 0, 0)
		if a := latest(); a.Outcome != ports.ActionDone || a.Count != 20 || a.Error != "" || a.EndedAt.IsZero() {
			t.Errorf("at the end the action is %+v", a)
		}

		w.add(20, 20)
		job = w.start(replayAll(1))
		time.Sleep(5 * time.Second)
		w.stop()
		stopped, err := w.service.Job(job.ID)
		if a := latest(); err != nil || a.Outcome != ports.ActionDone || a.Count != stopped.Done || a.Count == 0 || a.Count == 20 ||
			a.Error != fmt.Sprintf("stopped with the service after %d of 20 dead letters", a.Count) {
			t.Errorf("after a stop the action is %+v, and the job %+v", a, stopped)
		}
		if n := w.waiting(); n != 20-stopped.Done {
			t.Errorf("%d letters wait, want %d", n, 20-stopped.Done)
		}
	})
}

// A job that was stopped has not failed, unless a letter has.
func TestStoppedJobIsRecorded(t *testing.T) {
	for fault, want := range map[string]ports.ActionEnd{
		"": {Outcome: ports.ActionDone, Count: 4, Error: "stopped by bob after 4 of 20 dead letters"},
		"l0001": {Outcome: ports.ActionFailed, Count: 3,
			Error: "stopped by bob after 3 of 20 dead letters; 1 of 4 dead letters could not be replayed; the first: too large"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newJobWorld(t, 20)
			if fault != "" {
				w.queue.fail(errors.New("too large"), fault)
			}
			job := w.start(replayAll(1))
			time.Sleep(3500 * time.Millisecond)
			if _, err := w.service.StopJob(t.Context(), job.ID, " bob"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			page, err := w.actions.List(t.Context(), ports.OperatorActionQuery{Limit: 10})
			if err != nil || len(page.Actions) != 1 {
				t.Fatalf("got %+v, %v, want one action", page, err)
			}
			want.EndedAt = page.Actions[0].EndedAt
			if diff := cmp.Diff(want, page.Actions[0].ActionEnd); diff != "" {
				t.Errorf("the end is (-want +got):\n%s", diff)
			}
		})
	}
}
