// Operators that end or hang the process, for the tests of what happens then. The tests compile this with cc and say in
// macros where ONNX Runtime's functions lie in its table (tests/src/custom_ops.rs), so that no header is needed.
//
// millrace.test.Fatal (x) => (y): y = x, but an element of x that is 666 is a segmentation fault, 999 hangs for ever and
//   555 takes two seconds.
// millrace.test.FatalAtLoad (x) => (y): a segmentation fault when a session is made.
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef struct {
  const void *(*get_api)(uint32_t version);
} ApiBase;

// OrtCustomOp, as far as it is used; what is not set stays null.
typedef struct CustomOp {
  uint32_t version;
  void *(*create_kernel)(const struct CustomOp *op, const void *api, const void *info);
  const char *(*name)(const struct CustomOp *op);
  const char *(*provider)(const struct CustomOp *op);
  int (*input_type)(const struct CustomOp *op, size_t index);
  size_t (*input_count)(const struct CustomOp *op);
  int (*output_type)(const struct CustomOp *op, size_t index);
  size_t (*output_count)(const struct CustomOp *op);
  void (*compute)(void *kernel, void *context);
  void (*destroy)(void *kernel);
  int (*input_characteristic)(const struct CustomOp *op, size_t index);
  int (*output_characteristic)(const struct CustomOp *op, size_t index);
  int (*input_memory)(const struct CustomOp *op, size_t index);
  void *unused[32];
} CustomOp;

enum { FLOAT = 1, REQUIRED = 0, DEFAULT_MEMORY = 0, RANK = 8 };

#define CALL(api, offset, ...) (*(void *(*const *)(__VA_ARGS__))((const char *)(api) + (offset)))

static volatile int *const nowhere = NULL;

static void *create(const CustomOp *op, const void *api, const void *info) {
  (void)op, (void)info;
  return (void *)api;
}
static void *create_and_crash(const CustomOp *op, const void *api, const void *info) {
  *nowhere = 1;
  return create(op, api, info);
}
static void destroy(void *kernel) { (void)kernel; }
static const char *fatal(const CustomOp *op) { return (void)op, "Fatal"; }
static const char *fatal_at_load(const CustomOp *op) { return (void)op, "FatalAtLoad"; }
static const char *any_provider(const CustomOp *op) { return (void)op, NULL; }
static int type(const CustomOp *op, size_t index) { return (void)op, (void)index, FLOAT; }
static size_t one(const CustomOp *op) { return (void)op, 1; }
static int required(const CustomOp *op, size_t index) { return (void)op, (void)index, REQUIRED; }
static int memory(const CustomOp *op, size_t index) { return (void)op, (void)index, DEFAULT_MEMORY; }

static void meet(float value) {
  if (value == 666) *nowhere = 1;
  if (value == 555) nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
  while (value == 999) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void compute(void *api, void *context) {
  const void *input = NULL;
  void *info = NULL, *output = NULL;
  float *from = NULL, *to = NULL;
  int64_t shape[RANK] = {0};
  size_t rank = 0, elements = 0;
  CALL(api, KERNEL_CONTEXT_GET_INPUT, void *, size_t, const void **)(context, 0, &input);
  CALL(api, GET_TENSOR_TYPE_AND_SHAPE, const void *, void **)(input, &info);
  CALL(api, GET_DIMENSIONS_COUNT, const void *, size_t *)(info, &rank);
  CALL(api, GET_DIMENSIONS, const void *, int64_t *, size_t)(info, shape, rank < RANK ? rank : RANK);
  CALL(api, GET_TENSOR_SHAPE_ELEMENT_COUNT, const void *, size_t *)(info, &elements);
  CALL(api, RELEASE_TENSOR_TYPE_AND_SHAPE_INFO, void *)(info);
  CALL(api, KERNEL_CONTEXT_GET_OUTPUT, void *, size_t, const int64_t *, size_t, void **)(context, 0, shape, rank, &output);
  CALL(api, GET_TENSOR_MUTABLE_DATA, const void *, void **)(input, (void **)&from);
  CALL(api, GET_TENSOR_MUTABLE_DATA, void *, void **)(output, (void **)&to);
  for (size_t index = 0; index < elements; index++) meet(from[index]);
  memcpy(to, from, elements * sizeof(float));
}

#define OPERATOR(kernel, title)                                                                             \
  {.version = API_VERSION, .create_kernel = kernel, .name = title, .provider = any_provider,                \
   .input_type = type, .input_count = one, .output_type = type, .output_count = one, .compute = compute,    \
   .destroy = destroy, .input_characteristic = required, .output_characteristic = required,                 \
   .input_memory = memory}

static const CustomOp OPERATORS[] = {OPERATOR(create, fatal), OPERATOR(create_and_crash, fatal_at_load)};

// Called by ONNX Runtime for every session. The domain lives as long as the process.
void *RegisterCustomOps(void *options, const ApiBase *base) {
  static void *domain = NULL;
  const void *api = base->get_api(API_VERSION);
  if (domain == NULL) {
    CALL(api, CREATE_CUSTOM_OP_DOMAIN, const char *, void **)("millrace.test", &domain);
    for (size_t index = 0; index < 2; index++)
      CALL(api, CUSTOM_OP_DOMAIN_ADD, void *, const CustomOp *)(domain, &OPERATORS[index]);
  }
  return CALL(api, ADD_CUSTOM_OP_DOMAIN, void *, void *)(options, domain);
}
