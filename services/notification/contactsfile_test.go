package notification_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/notification"
)

func importText(t *testing.T, control *notification.Control, text string) (int, error) {
	t.Helper()
	return control.Import(t.Context(), strings.NewReader(text), "bob", nil)
}

func export(t *testing.T, control *notification.Control) (string, notification.ExportReport) {
	t.Helper()
	var out bytes.Buffer
	report, err := control.Export(t.Context(), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), report
}

// An export is what was imported, sorted.
func TestImportAndExport(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"as exported": {
			"user_id,language,email,webhook,off\nann,en,ann@x,https://x/?a=1&b=2,webhook\nbob,,,,\n",
			"user_id,language,email,webhook,off\nann,en,ann@x,https://x/?a=1&b=2,webhook\nbob,,,,\n",
		},
		"as a spreadsheet writes it": {
			"\ufeffuser_id,off,email,language\r\nbob,,\"\"\"b,\"\"@x\",de\r\n\r\n\"ann\", webhook  email ,,\r\nänn,,,",
			"user_id,language,email,webhook,off\nann,,,,email webhook\nbob,de,\"\"\"b,\"\"@x\",,\nänn,,,,\n",
		},
		"only users": {"user_id\n=1+1\n-x\n\" x\"\n", "user_id,language,email,webhook,off\n\" x\",,,,\n-x,,,,\n=1+1,,,,\n"},
		"no users":   {"user_id,email", "user_id,language,email,webhook,off\n"},
	} {
		t.Run(name, func(t *testing.T) {
			control := newControl(t, storeOf(new(memory.Store)))
			written, err := importText(t, control, tt.text)
			if want := strings.Count(tt.want, "\n") - 1; err != nil || written != want {
				t.Fatalf("imported %d, %v; want %d", written, err, want)
			}
			got, report := export(t, control)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("exported (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(notification.ExportReport{Written: written}, report, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			again := newControl(t, storeOf(new(memory.Store)))
			if _, err := importText(t, again, got); err != nil {
				t.Fatal(err)
			}
			if got, _ := export(t, again); got != tt.want {
				t.Errorf("the export of an imported export is %q", got)
			}
		})
	}
}

// An import replaces whole contacts, and leaves other users' alone.
func TestImportReplaces(t *testing.T) {
	store := new(memory.Store)
	control := newControl(t, storeOf(store))
	for _, text := range []string{"user_id,language,email\nann,de,ann@x\nbob,de,bob@x\n", "user_id,webhook\nann,https://x\n"} {
		if _, err := importText(t, control, text); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := export(t, control); got != "user_id,language,email,webhook,off\nann,,,https://x,\nbob,de,bob@x,,\n" {
		t.Errorf("got %s", got)
	}
	if contact := must(store.Contacts().Get(t.Context(), "ann")); contact.UpdatedAt.IsZero() {
		t.Errorf("stored %+v", contact)
	}
}

// Nothing is written when a line is wrong; all wrong lines are named.
func TestImportRefuses(t *testing.T) {
	const header = "user_id,language,email,off\n"
	field := func(line int, field, reason string) notification.BadField {
		return notification.BadField{Line: line, Field: field, Reason: reason}
	}
	for _, tt := range []struct {
		text string
		want []notification.BadField
	}{
		{"", []notification.BadField{field(1, "", "must name the columns: the file is empty")}},
		{"\ufeff\n\n", []notification.BadField{field(1, "", "must name the columns: the file is empty")}},
		{"ann,en,ann@x\n", []notification.BadField{
			field(1, `"ann"`, "is not a channel with addresses; known: email, webhook; other columns: user_id, language, off"),
			field(1, `"en"`, "is not a channel with addresses; known: email, webhook; other columns: user_id, language, off"),
			field(1, `"a…@x"`, "is not a channel with addresses; known: email, webhook; other columns: user_id, language, off"),
			field(1, "user_id", "is missing: the first line must name the columns"),
		}},
		{"user_id;email\n", []notification.BadField{field(1, "", "must separate the columns by commas, not by semicolons")}},
		{"user_id,email,email\nann,a@x,b@x\n", []notification.BadField{field(1, `"email"`, "names a column twice")}},
		{"user_id,log\nann,x\n", []notification.BadField{field(1, `"log"`, "is not a channel with addresses; known: email, webhook; other columns: user_id, language, off")}},
		{`"user_id`, []notification.BadField{field(1, "", "has a quoted field that does not end on the line")}},
		{header + "ann,en,ann@x,\n\nann,,,\nbob,??,x,fax\n,,,\ncy,,,", []notification.BadField{
			field(4, "user_id", "is on line 2, too"),
			field(5, "language", "must be a language tag (BCP 47) such as de or pt-BR, of at most 35 characters"),
			field(5, "email", "must contain @"),
			field(5, "off", `"fax" is not a channel with addresses; known: email, webhook; leave others out, because they send users nothing`),
			field(6, "user_id", "is missing"),
		}},
		{header + "ann,en\nbob,,,,\n \n", []notification.BadField{
			field(2, "", "has 2 fields; the first line has 4 columns"),
			field(3, "", "has 5 fields; the first line has 4 columns"),
			field(4, "", "has 1 fields; the first line has 4 columns"),
		}},
		{header + "\"ann,,,\n\"bob\"x,,,\nc\"y,,,\n\"d\n\",,,\n", []notification.BadField{
			field(2, "", "has a quoted field that does not end on the line"),
			field(3, "", "has a quoted field that goes on after its quotes"),
			field(4, "", "has a quote in a field without quotes; write it twice, and the field in quotes"),
			field(5, "", "has a quoted field that does not end on the line"),
			field(6, "", "has a quoted field that does not end on the line"),
		}},
		{header + "a\rb,,,\n\xff,,,\nann,,a@\x00,\n", []notification.BadField{
			field(2, "user_id", "must not contain control characters"),
			field(3, "user_id", "must be valid UTF-8"),
			field(4, "email", "must be valid UTF-8 without control characters"),
		}},
		{header + strings.Repeat("x", 200<<10) + "\n,,,\n" + strings.Repeat("x", 128<<10), []notification.BadField{
			field(2, "", "is longer than 131072 bytes"),
			field(3, "user_id", "is missing"),
			field(4, "", "is longer than 131072 bytes"),
		}},
		{header + "ann,,,ann.lee@example.com\n", []notification.BadField{field(2, "off", `"a…@example.com" is not a channel with addresses; known: email, webhook; leave others out, because they send users nothing`)}},
	} {
		store := new(memory.Store)
		written, err := importText(t, newControl(t, storeOf(store)), tt.text)
		var bad *notification.BadFileError
		if !errors.As(err, &bad) {
			t.Errorf("%.60q: got %v", tt.text, err)
			continue
		}
		if diff := cmp.Diff(notification.BadFileError{Fields: tt.want, Count: len(tt.want)}, *bad); diff != "" {
			t.Errorf("%.60q (-want +got):\n%s", tt.text, diff)
		}
		if page, err := store.Contacts().List(t.Context(), 1, ""); written != 0 || err != nil || len(page.Contacts) > 0 {
			t.Errorf("%.60q: %d written, stored %v, %v", tt.text, written, page.Contacts, err)
		}
	}
}

// The report of wrong lines is bounded.
func TestImportOfManyWrongLines(t *testing.T) {
	_, err := importText(t, newControl(t, storeOf(new(memory.Store))), "user_id,email\n"+strings.Repeat("u,x\n", 1000))
	var bad *notification.BadFileError
	if !errors.As(err, &bad) || bad.Count != 1000 || len(bad.Fields) != 100 || bad.Fields[99].Line != 101 {
		t.Fatalf("got %v, %+v", err, bad)
	}
	if want := "the file has 1000 faults, so nothing was written; the first is line 2: email must contain @"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	whole := notification.BadField{Line: 3, Reason: "has 2 fields; the first line has 4 columns"}
	if want := "line 3: it has 2 fields; the first line has 4 columns"; whole.String() != want {
		t.Errorf("got %q, want %q", whole, want)
	}
}

// users is a file of users, made while it is read.
type users struct {
	count, next int
	rest        []byte
	firstChange int // from this user on, the second reading differs; 0: never
	readings    int
}

func (u *users) Read(p []byte) (int, error) {
	for len(u.rest) == 0 {
		switch {
		case u.next > u.count:
			return 0, io.EOF
		case u.next == 0:
			u.rest = []byte("user_id,email\n")
		case u.firstChange > 0 && u.readings == 2 && u.next >= u.firstChange:
			u.rest = []byte("broken\n")
		default:
			u.rest = fmt.Appendf(nil, "user-%d,user-%d@x\n", u.next, u.next)
		}
		u.next++
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *users) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		u.next, u.rest = 0, nil
		u.readings = 2
	}
	return 0, nil
}

func TestImportProgress(t *testing.T) {
	store := new(memory.Store)
	control := newControl(t, storeOf(store))
	var seen []notification.ImportProgress
	written, err := control.Import(t.Context(), &users{count: 1200}, "bob", func(p notification.ImportProgress) { seen = append(seen, p) })
	if err != nil || written != 1200 {
		t.Fatalf("got %d, %v", written, err)
	}
	want := []notification.ImportProgress{{500, 0}, {1000, 0}, {1200, 0}, {1200, 500}, {1200, 1000}, {1200, 1200}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	text, report := export(t, control)
	if report.Written != 1200 || strings.Count(text, "\n") != 1201 {
		t.Errorf("exported %+v, %d lines", report, strings.Count(text, "\n"))
	}
	rows := must(csv.NewReader(strings.NewReader(text)).ReadAll())
	if !slices.IsSortedFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) }) {
		t.Error("the export is not sorted")
	}
}

func TestImportOfTooManyLines(t *testing.T) {
	control := newControl(t, storeOf(new(memory.Store)))
	longest := "user_id\n" + strings.Repeat("\n", 999_999) + "ann\n"
	if written, err := importText(t, control, longest); written != 1 || err != nil {
		t.Errorf("got %d, %v", written, err)
	}
	_, err := importText(t, control, longest+"\n")
	if want := "import contacts: read line 1000002: the file has more than 1000001 lines; import it in parts; nothing was written"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// After the store has failed, the import says how far it came.
func TestImportIntoAFailingStore(t *testing.T) {
	contacts := mocks.NewMockContacts(gomock.NewController(t))
	store := storeOf(new(memory.Store))
	store.Contacts = contacts
	down := fmt.Errorf("put: %w", ports.ErrUnavailable)
	gomock.InOrder(
		contacts.EXPECT().Put(gomock.Any(), gomock.Any()).Return(nil),
		contacts.EXPECT().Put(gomock.Any(), gomock.Any()).Return(down),
	)
	written, err := newControl(t, store).Import(t.Context(), &users{count: 1200}, "bob", nil)
	const want = "import contacts: put: unavailable; 500 of 1200 contacts were written, and maybe some of the next 500; import the file again, which is safe"
	if written != 500 || !errors.Is(err, ports.ErrUnavailable) || err.Error() != want {
		t.Errorf("got %d, %v, want %s", written, err, want)
	}
}

type unseekable struct{ io.Reader }

func (unseekable) Seek(int64, int) (int64, error) { return 0, errors.New("illegal seek") }

func TestImportEndsEarly(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx     context.Context
		file    io.ReadSeeker
		written int
		want    string
	}{
		"changed file": {t.Context(), &users{count: 1200, firstChange: 700}, 699, "the file has changed since it was checked; 699 of 1200 contacts were written"},
		"pipe":         {t.Context(), unseekable{strings.NewReader("user_id\nann\n")}, 0, "the file must be seekable, because it is read twice: illegal seek"},
		"interrupted":  {canceled, &users{count: 1}, 0, "context canceled; nothing was written"},
	} {
		written, err := newControl(t, storeOf(new(memory.Store))).Import(tt.ctx, tt.file, "bob", nil)
		if written != tt.written || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %d, %v, want %d, %s", name, written, err, tt.written, tt.want)
		}
	}
}

// What is stored for channels that are not configured is left out, and counted.
func TestExportLeavesOut(t *testing.T) {
	contacts := mocks.NewMockContacts(gomock.NewController(t))
	store := storeOf(new(memory.Store))
	store.Contacts = contacts
	contacts.EXPECT().List(gomock.Any(), 500, "").Return(ports.ContactPage{
		Contacts:   []ports.Contact{{UserID: "ann", Addresses: map[string]string{"email": "a@x", "fax": "1", "log": "x"}, Off: []string{"email", "fax"}}},
		NextCursor: "c", Unreadable: 1,
	}, nil)
	contacts.EXPECT().List(gomock.Any(), 500, "c").Return(ports.ContactPage{Contacts: []ports.Contact{{UserID: "bob"}}, Unreadable: 2}, nil)
	text, report := export(t, newControl(t, store))
	if want := "user_id,language,email,webhook,off\nann,,a@x,,email\nbob,,,,\n"; text != want {
		t.Errorf("exported %q, want %q", text, want)
	}
	want := notification.ExportReport{Written: 2, Unreadable: 3, LeftOut: map[string]int{"fax": 2, "log": 1}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestExportFails(t *testing.T) {
	store := new(memory.Store)
	control := newControl(t, storeOf(store))
	if _, err := importText(t, control, "user_id\nann\n"); err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	read.Close()
	if _, err := control.Export(t.Context(), write); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want ErrClosedPipe", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := control.Export(canceled, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

// The reader takes what encoding/csv takes, except line breaks in fields. What it
// takes, an export writes again.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"ann,en,ann@x,https://x,webhook\n", "\"a\"\"b\",,\"@,\",,\r\n", "\"", "a\"b", "\"a\"b,,,,", ",,,,\n", "\ufeff", "a,,,,email email\n", "a\r\nb\n", "\\.,,,,\n", " a,,,,\n",
	} {
		f.Add(seed)
	}
	const header = "user_id,language,email,webhook,off\n"
	f.Fuzz(func(t *testing.T, lines string) {
		store := new(memory.Store)
		control := newControl(t, storeOf(store))
		written, err := importText(t, control, header+lines)
		page := must(store.Contacts().List(t.Context(), ports.MaxListLimit, ""))
		var bad *notification.BadFileError
		if err != nil {
			if !errors.As(err, &bad) || bad.Count < len(bad.Fields) || len(bad.Fields) == 0 || written != 0 || len(page.Contacts) != 0 {
				t.Errorf("%q: got %d, %v, stored %v", lines, written, err, page.Contacts)
			}
			return
		}
		reader := csv.NewReader(strings.NewReader(lines))
		reader.FieldsPerRecord = 5
		rows, err := reader.ReadAll()
		if err != nil || len(rows) != written {
			t.Fatalf("%q: wrote %d contacts; encoding/csv reads %d rows, %v", lines, written, len(rows), err)
		}
		for _, row := range rows {
			contact, err := store.Contacts().Get(t.Context(), row[0])
			if err != nil || contact.Language != row[1] || contact.Addresses["email"] != row[2] || contact.Addresses["webhook"] != row[3] {
				t.Errorf("%q: stored %+v, %v", row, contact, err)
			}
		}
		text, _ := export(t, control)
		again := newControl(t, storeOf(new(memory.Store)))
		if _, err := importText(t, again, text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if second, _ := export(t, again); second != text {
			t.Errorf("exported %q, then %q", text, second)
		}
	})
}

func BenchmarkImport(b *testing.B) {
	control := must(notification.NewControl(storeOf(new(memory.Store)), []notification.ChannelInfo{{Name: "email", Addressed: addressRule{must: "@"}}}, discard))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := control.Import(b.Context(), &users{count: 1000}, "bob", nil); err != nil {
			b.Fatal(err)
		}
	}
}
